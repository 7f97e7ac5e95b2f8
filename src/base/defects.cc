#include "base/defects.h"

#ifdef KITH_DEFECTS
namespace kith {

Defect seeded_defect = Defect::kNone;

}  // namespace kith
#endif
