#include "lease.h"

#include <algorithm>

#include "lease_world.h"

namespace kith::model {
namespace {

constexpr Local kSecond = 1'000'000;
constexpr Local kL = 20 * kSecond;
constexpr Local kHold = 6 * kSecond;
constexpr Local kGrace = 10 * kSecond;
constexpr Local kKill = 2 * kSecond;
constexpr Local kStall = kSecond / 2;
constexpr Local kRenew = 2 * kSecond;
constexpr Local kResend = kSecond * 3 / 10;
static_assert((kHold + kGrace + kKill + kStall) * 105 <= kL * 100);

}  // namespace

const char* name_of(LeaseDefect defect) {
  constexpr const char* kNames[] = {"none",
                                    "timed from the reply",
                                    "grants after a restart",
                                    "accepts what it did not promise",
                                    "no margin for the clocks",
                                    "any reply is contact",
                                    "replies, not voters",
                                    "unequal lists count",
                                    "replies to earlier rounds count",
                                    "half is enough",
                                    "no guard",
                                    "voters by the last writer",
                                    "two voters at once",
                                    "the next list at once",
                                    "a grant never expires",
                                    "promises while granted"};
  return kNames[static_cast<size_t>(defect)];
}

// --- The voter ---------------------------------------------------------------------------------

void LeaseWorld::expire(int at) {
  Voter& voter = hosts_[at].voter;
  if (voter.holder >= 0 && clock(at) >= voter.expires && !has(LeaseDefect::kNeverExpires))
    voter.holder = -1;
}

void LeaseWorld::prepared(const Letter& letter) {
  const int at = letter.to;
  Voter& voter = hosts_[at].voter;
  if (clock(at) < voter.silent_until || !voters(voter.list).contains(at)) return;
  if (!same_list(letter.list, voter.list)) return;
  expire(at);
  const bool granted = voter.holder >= 0 && voter.holder != letter.from;
  Letter reply{0, at, letter.from, Say::kPromise, letter.ballot, voter.list, voter.boot, 0};
  // The holder is not troubled by who asks meanwhile.
  if (letter.ballot < voter.promised || (granted && !has(LeaseDefect::kPromisesWhileGranted))) {
    reply.say = Say::kRefuse;
  } else {
    voter.promised = letter.ballot;
    if (granted) reply.say = Say::kRefuse;
  }
  reply.counter = voter.promised.counter;
  post(reply);
}

void LeaseWorld::proposed(const Letter& letter) {
  const int at = letter.to;
  Voter& voter = hosts_[at].voter;
  if (clock(at) < voter.silent_until || !voters(voter.list).contains(at)) return;
  if (!same_list(letter.list, voter.list)) return;
  Letter reply{0, at, letter.from, Say::kAccepted, letter.ballot, voter.list, voter.boot, 0};
  const bool promised = has(LeaseDefect::kAcceptsUnpromised)
                            ? letter.ballot >= voter.promised
                            : letter.ballot == voter.promised && letter.boot == voter.boot;
  if (promised) {
    voter.promised = letter.ballot;
    voter.holder = letter.from;
    voter.expires = clock(at) + kL;
  } else {
    reply.say = Say::kRefuse;
    reply.counter = voter.promised.counter;
  }
  post(reply);
}

// --- Who asks ----------------------------------------------------------------------------------

size_t LeaseWorld::majority(size_t list) const {
  const size_t all = voters(list).size();
  return has(LeaseDefect::kHalfIsEnough) ? (all + 1) / 2 : all / 2 + 1;
}

void LeaseWorld::ask(int at) {
  LeaseHost& host = hosts_[at];
  ++host.counter;
  host.round = Round{};
  host.round->ballot = {host.counter, at, host.voter.boot};
  host.round->list = host.voter.list;
  host.round->asked = clock(at);
  send_round(at);
}

/// To whoever has not answered yet.
void LeaseWorld::send_round(int at) {
  Round& round = *hosts_[at].round;
  round.sent = clock(at);
  if (round.proposed < 0) {
    for (const int voter : voters(round.list))
      if (!round.promises.contains(voter))
        post({0, at, voter, Say::kPrepare, round.ballot, round.list, 0, 0});
    return;
  }
  for (const auto& [voter, boot] : round.promises)
    if (!round.accepts.contains(voter))
      post({0, at, voter, Say::kPropose, round.ballot, round.list, boot, 0});
}

void LeaseWorld::answered(const Letter& letter) {
  const int at = letter.to;
  LeaseHost& host = hosts_[at];
  if (letter.say == Say::kRefuse) {
    host.counter = std::max(host.counter, letter.counter);
    // The holder does not wait for the next renewal to come with a higher one.
    const bool refused = host.round && letter.ballot == host.round->ballot;
    if (refused && letter.counter > letter.ballot.counter && host.copy == Container::kRunning) {
      host.round.reset();
      host.next_try = clock(at);
    }
    if (has(LeaseDefect::kAnyReplyIsContact) && host.copy == Container::kRunning) {
      host.contact = clock(at);
      host.deadline = clock(at) + kHold + kGrace + kKill;
    }
    return;
  }
  if (!host.round) return;
  if (letter.ballot != host.round->ballot && !has(LeaseDefect::kAnyRoundsReply)) return;
  Round& round = *host.round;
  if (!same_list(letter.list, round.list) || !voters(round.list).contains(letter.from)) return;
  const bool proposing = round.proposed >= 0;
  if ((letter.say == Say::kAccepted) != proposing) return;
  if (proposing)
    round.accepts.insert(letter.from);
  else
    round.promises[letter.from] = letter.boot;
  ++round.replies;
  size_t count = proposing ? round.accepts.size() : round.promises.size();
  if (has(LeaseDefect::kRepliesNotVoters)) count = round.replies;
  if (count < majority(round.list)) return;
  if (proposing) {
    const Round done = round;
    host.round.reset();
    won(at, done);
    return;
  }
  round.proposed = clock(at);
  round.replies = 0;
  send_round(at);
}

void LeaseWorld::won(int at, const Round& round) {
  LeaseHost& host = hosts_[at];
  const Local from = has(LeaseDefect::kTimedFromReply) ? clock(at) : round.proposed;
  if (clock(at) >= from + kHold || host.copy == Container::kStopping) return;
  if (host.copy == Container::kNone) {
    host.copy = Container::kRunning;
    ++out_.terms;
  } else {
    ++out_.renewals;
  }
  host.contact = from;
  host.deadline = from + (has(LeaseDefect::kNoClockMargin) ? kL : kHold + kGrace + kKill);
}

void LeaseWorld::tend(int at) {
  LeaseHost& host = hosts_[at];
  const Local now = clock(at);
  if (host.copy == Container::kRunning &&
      (now >= host.contact + kHold || now < host.yields_until)) {
    host.copy = Container::kStopping;
    const bool hangs = rng_.chance(1, 3);
    host.ends = hangs ? now + kGrace + kKill : now + static_cast<Local>(rng_.below(kGrace));
    host.round.reset();
  }
  if (host.round && host.round->list != host.voter.list && !has(LeaseDefect::kMixesLists))
    host.round.reset();
  if (host.round && now >= host.round->sent + kResend) send_round(at);
  const bool under_way = host.round && now < host.round->asked + kHold - kRenew;
  if (now < host.next_try || (host.copy == Container::kRunning && under_way)) return;
  if (now < host.yields_until || host.copy == Container::kStopping) return;
  host.next_try = now + (host.copy == Container::kRunning
                             ? kRenew
                             : kSecond + static_cast<Local>(rng_.below(3 * kSecond)));
  ask(at);
}

void LeaseWorld::guard(int at) {
  LeaseHost& host = hosts_[at];
  if (host.copy == Container::kNone) return;
  const bool ended = host.copy == Container::kStopping && clock(at) >= host.ends;
  const Local stall = static_cast<Local>(rng_.below(kStall));
  const bool overdue = clock(at) >= host.deadline + stall && !has(LeaseDefect::kNoGuard);
  if (!ended && !overdue) return;
  if (overdue) ++out_.kills;
  host.copy = Container::kNone;
}

// --- The voters' list --------------------------------------------------------------------------

void LeaseWorld::adopt(int at, size_t list) {
  Voter& voter = hosts_[at].voter;
  if (lists_[list].rank <= lists_[voter.list].rank) return;
  voter.list = list;
  voter.list_since = clock(at);
}

/// The next list is chosen by a majority of the present one that has had it for L: as if in one
/// instant, since how a majority agrees on one value once and for all is known.
void LeaseWorld::change_voters() {
  const auto editor = static_cast<int>(rng_.below(hosts_.size()));
  if (!awake(hosts_[editor])) return;
  const size_t base = hosts_[editor].voter.list;
  std::set<int> next = voters(base);
  const int changes = has(LeaseDefect::kTwoVotersAtOnce) ? 2 : 1;
  std::set<int> touched;
  while (static_cast<int>(touched.size()) < changes) {
    const auto which = static_cast<int>(rng_.below(hosts_.size()));
    if (!touched.insert(which).second) continue;
    if (next.erase(which) == 0) next.insert(which);
  }
  if (next.size() < 3 || next.size() > 7) return;
  std::set<int> agree;
  for (const int voter : voters(base)) {
    const LeaseHost& host = hosts_[voter];
    if (!awake(host) || !linked(editor, voter) || !linked(voter, editor)) continue;
    if (host.voter.list != base || clock(voter) < host.voter.silent_until) continue;
    const bool long_enough = clock(voter) >= host.voter.list_since + kL;
    if (long_enough || has(LeaseDefect::kNextListAtOnce)) agree.insert(voter);
  }
  const bool last_writer = has(LeaseDefect::kListByLastWriter);
  if (!last_writer && agree.size() < voters(base).size() / 2 + 1) return;
  const uint64_t stamp = last_writer ? lists_.size() : 0;
  lists_.push_back({next, {lists_[base].rank.first + 1, stamp}});
  ++out_.lists;
  if (last_writer) agree.clear();
  agree.insert(editor);
  for (const int host : agree) adopt(host, lists_.size() - 1);
}

void LeaseWorld::gossip() {
  const auto from = static_cast<int>(rng_.below(hosts_.size()));
  const auto to = static_cast<int>(rng_.below(hosts_.size()));
  if (from == to || !linked(from, to) || !awake(hosts_[from]) || !awake(hosts_[to])) return;
  adopt(to, hosts_[from].voter.list);
}

LeaseRun run_lease(uint64_t seed, LeaseDefect defect) {
  return LeaseWorld(seed, defect).run();
}

}  // namespace kith::model
