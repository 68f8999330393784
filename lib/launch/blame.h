// Which rank to blame when a run fails. When one rank dies, the others die of it: their "connection reset" is an echo.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/launcher.h"

namespace trainyard {

// What the end of a rank's standard error says about who broke the run.
enum class Evidence : int32_t {
  kEcho = 0,     // it lost its peers
  kNone = 1,     // nothing either way
  kOwnFault = 2  // a traceback or a fatal error of its own
};
Evidence EvidenceIn(std::string_view stderr_tail);
// The text, and also the way it ended: a fault signal, a kill for want of memory or the loss of its node is its own. Of
// a torchrun that started the ranks of a node: that of the worker to blame (launch/worker_report.h).
Evidence EvidenceOf(const RankExit &exit);

// Finds the exit to blame among those it is shown: own faults before ends without evidence before echoes, then the
// order of exits. Exits after the kill count only by what the rank had written before. Each exit is looked at once: its
// text may be long, and there may be a thousand. Thread rule: one thread at a time.
class Blame {
 public:
  void Add(const RankExit &exit);
  // The number of the exit, in the order of the calls of Add; nullopt when none failed.
  std::optional<size_t> blamed() const { return blamed_; }
  Evidence evidence() const { return evidence_; }  // of the blamed one

 private:
  size_t count_ = 0;
  std::optional<size_t> blamed_;
  Evidence evidence_ = Evidence::kEcho;
  int64_t order_ = 0;
};

// Whether it says that an address to listen on is in use already.
bool SaysPortTaken(std::string_view stderr_tail);

// The line of a tail that names the fault: the last line of the last traceback, else the last line that is not empty.
std::string FaultLine(std::string_view stderr_tail);

}  // namespace trainyard
