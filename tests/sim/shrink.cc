#include "shrink.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace kith::sim {
namespace {

/// What a command line can say of a length.
Duration whole(Duration time) {
  constexpr Duration kGrain = std::chrono::seconds(3);
  return (time + kGrain - Duration(1)) / kGrain * kGrain;
}

class Shrinker {
 public:
  Shrinker(Outcome failed, const ShrinkLimits& limits,
           const std::function<void(const std::string&)>& said)
      : best_(std::move(failed)), limits_(limits), said_(said) {}

  Outcome run() {
    best_.shape.drawn_for = best_.shape.drawn_for != 0 ? best_.shape.drawn_for : best_.shape.hosts;
    std::vector<size_t> all;
    for (const Fault& fault : schedule_of(best_.shape)) all.push_back(fault.number);
    best_.shape.only = all;
    bool smaller = true;
    while (smaller && !spent()) {
      const size_t before = size();
      less_time();
      fewer_faults();
      fewer_hosts();
      smaller = size() < before;
    }
    return best_;
  }

 private:
  [[nodiscard]] size_t size() const {
    return best_.shape.only->size() + best_.shape.hosts +
           static_cast<size_t>((best_.shape.length + best_.shape.calm) / std::chrono::seconds(3));
  }

  [[nodiscard]] bool spent() const {
    const auto now = std::chrono::steady_clock::now();
    return runs_ >= limits_.runs ||
           std::chrono::duration<double>(now - begun_).count() >= limits_.seconds;
  }

  /// Takes over the first of them that fails in the same way.
  bool any_fails(std::vector<RunShape> shapes) {
    if (spent()) return false;
    std::optional<Outcome> found;
    (void)run_all(shapes, [&](const Outcome& outcome) {
      ++runs_;
      const bool same = outcome.failed() &&
                        outcome.violations.front().checker == best_.violations.front().checker;
      if (same) found = outcome;
      return !same && !spent();
    });
    if (!found) return false;
    best_ = std::move(*found);
    said_(std::to_string(best_.shape.only->size()) + " faults, " +
          std::to_string(best_.shape.hosts) + " nodes: " + best_.violations.front().what);
    return true;
  }

  void less_time() {
    const Instant at = best_.violations.front().at;
    if (at == Instant{}) return;  // a crash says nothing of its time
    const Instant chaos = Instant(best_.chaos_at);
    RunShape shape = best_.shape;
    const auto last = [&] {
      Duration end{};
      for (const Fault& fault : schedule_of(best_.shape)) end = fault.at;
      return whole(end + std::chrono::milliseconds(1));
    };
    if (at <= chaos + shape.length) {
      shape.length = std::min(shape.length, whole(at - chaos + std::chrono::milliseconds(100)));
      if (shape.length < best_.shape.length) (void)any_fails({shape});
      return;
    }
    shape.calm = std::min(shape.calm, whole(at - chaos - shape.length));
    if (shape.calm < best_.shape.calm) (void)any_fails({shape});
    shape = best_.shape;
    shape.length = last();
    std::vector<RunShape> shapes;
    for (const int more : {0, 6, 15, 30}) {
      RunShape longer = shape;
      longer.length += std::chrono::seconds(more);
      if (longer.length < best_.shape.length) shapes.push_back(longer);
    }
    if (!shapes.empty()) (void)any_fails(shapes);
  }

  // ddmin, by complements: leave out a part, and smaller parts where that does not do.
  void fewer_faults() {
    size_t parts = 2;
    while (!spent() && !best_.shape.only->empty()) {
      const std::vector<size_t> all = *best_.shape.only;
      parts = std::min(parts, all.size());
      std::vector<RunShape> shapes;
      for (size_t part = 0; part < parts; ++part) {
        const size_t from = all.size() * part / parts;
        const size_t to = all.size() * (part + 1) / parts;
        RunShape shape = best_.shape;
        shape.only->clear();
        for (size_t i = 0; i < all.size(); ++i)
          if (i < from || i >= to) shape.only->push_back(all[i]);
        shapes.push_back(std::move(shape));
      }
      if (any_fails(shapes))
        parts = std::max<size_t>(parts - 1, 2);
      else if (parts == all.size())
        return;
      else
        parts *= 2;
    }
  }

  void fewer_hosts() {
    while (!spent() && best_.shape.hosts > 2) {
      std::vector<RunShape> shapes;
      for (const size_t hosts :
           {size_t{2}, size_t{3}, best_.shape.hosts / 2, best_.shape.hosts - 1}) {
        RunShape shape = best_.shape;
        shape.hosts = hosts;
        if (hosts >= 2 && hosts < best_.shape.hosts) shapes.push_back(shape);
      }
      if (shapes.empty() || !any_fails(shapes)) return;
    }
  }

  Outcome best_;
  ShrinkLimits limits_;
  const std::function<void(const std::string&)>& said_;
  size_t runs_ = 0;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace

Outcome shrink(Outcome failed, const ShrinkLimits& limits,
               const std::function<void(const std::string&)>& said) {
  return Shrinker(std::move(failed), limits, said).run();
}

}  // namespace kith::sim
