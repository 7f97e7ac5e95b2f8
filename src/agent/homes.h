#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/catalog.h"
#include "agent/work.h"

namespace kith {

// Where the slots of a pinned service live. Whoever takes a create or an update writes the home of
// each slot that has a node to go to; a slot that has none then gets its home where it comes to
// run.

/// Gives a home to each slot without one that has a node to go to, and takes it from what is scaled
/// away.
void settle_homes(ServiceDoc& doc, const Work& work);
/// Takes it from slots whose home was removed from the roster.
void drop_lost_homes(ServiceDoc& doc, const DocStore& docs);

/// Slots that run and have no home, each with its node. Empty if the service is not pinned.
[[nodiscard]] std::map<uint32_t, NodeId> unwritten_homes(const ServiceDoc& doc,
                                                         const Catalog& catalog, const Work& work);
/// A service whose unwritten homes `self` is to write, all of them: its first such slot runs here,
/// so that not each node writes its own at one time. Empty: none.
[[nodiscard]] std::string homes_to_write(const Catalog& catalog, const Work& work,
                                         const NodeId& self);

}  // namespace kith
