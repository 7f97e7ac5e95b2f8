#pragma once

#include <cstdint>
#include <string>

namespace kith::model {

/// What an implementation of the lease may leave out; `kNone` is the rule.
enum class LeaseDefect : uint8_t {
  kNone,
  kTimedFromReply,        ///< the lease begins when the majority has answered
  kGrantsAfterRestart,    ///< a voter that has forgotten what it granted grants at once
  kAcceptsUnpromised,     ///< ... takes a proposal that it did not promise in this life
  kNoClockMargin,         ///< stop_after = L, whatever the clocks do
  kAnyReplyIsContact,     ///< a refusal counts as contact
  kRepliesNotVoters,      ///< one voter's reply that comes twice counts twice
  kMixesLists,            ///< replies between unequal lists count
  kAnyRoundsReply,        ///< a reply to an earlier round counts in this one
  kHalfIsEnough,          ///< two of four
  kNoGuard,               ///< only the agent stops the container
  kListByLastWriter,      ///< `voters` is a document as any other: each half may change it
  kTwoVotersAtOnce,       ///< a list differs from the one before by two
  kNextListAtOnce,        ///< voters take part in a change before they had their list for L
  kNeverExpires,          ///< what a voter granted stays granted
  kPromisesWhileGranted,  ///< whoever asks takes the promise from under the holder's renewal
  kCount
};

[[nodiscard]] const char* name_of(LeaseDefect defect);

struct LeaseRun {
  std::string wrong;        ///< of the first rule broken: what, and when; empty: none was
  uint64_t terms = 0;       ///< containers started
  uint64_t renewals = 0;    ///< rounds won by who ran it already
  uint64_t kills = 0;       ///< by guards
  uint64_t lists = 0;       ///< changes of the voters
  uint64_t restarts = 0;    ///< of voters
  int64_t regained_ms = 0;  ///< after the faults, until a majority had it again
};

/// PaxosLease (Trencseni et al., arXiv 1209.4187) as docs/architecture.md uses it, between 4 to 7
/// hosts for one slot: three minutes of faults, then a connected majority.
[[nodiscard]] LeaseRun run_lease(uint64_t seed, LeaseDefect defect = LeaseDefect::kNone);

/// A voter promises, restarts, is silent for L and grants to another; only then comes the proposal
/// that it had promised. Too rare for chance to find.
[[nodiscard]] LeaseRun forgotten_promise(LeaseDefect defect = LeaseDefect::kNone);

}  // namespace kith::model
