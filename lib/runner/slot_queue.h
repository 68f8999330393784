// The queue without a daemon: slots of this machine for this user, whatever the workspace. All that holds a place is a
// flock of a living process, so the kernel gives back what a killed one held.
//
// Directory: $XDG_RUNTIME_DIR/trainyard, else /run/user/<uid>/trainyard, else /tmp/trainyard-<uid> (0700, own):
//   slots/<n>              held by flock by the run that uses slot n
//   tickets/counter        the last number given, as text; under flock while it is changed
//   tickets/t-<20 digits>  one waiter; its owner holds it by flock. A waiter sleeps in flock() on the nearest ticket
//                          before its own; only the first in line looks at slots. (For priorities: a prefix of the
//                          number that sorts, and waiters that look again when a ticket appears before theirs.)
//   ports/<port>           held by flock by the run whose MASTER_PORT it is (runner/master_port.h)
//
// Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "util/fs.h"

namespace trainyard {

// Where the machine's slots are kept; made when absent. Error kPermission when the directory is somebody else's.
std::string SlotDirectory();
// TRAINYARD_LOCAL_SLOTS, else the CPUs this process may use.
int32_t LocalSlotCount();

class SlotQueue {
 public:
  SlotQueue(std::string directory, int32_t slots);

  struct Wait {
    std::function<bool()> canceled;  // looked at whenever a system call was interrupted, and now and then
    std::function<void()> on_wait;   // once, before the first sleep
  };
  // Waits its turn for `count` slots (at most as many as there are). False when canceled. The slots are held until this
  // object goes or Release.
  bool Acquire(int32_t count, const Wait &wait);
  void Release();

 private:
  struct SlotFile {
    UniqueFd fd;
    bool held = false;
  };
  UniqueFd TakeTicket(uint64_t *number, std::string *path);
  std::optional<std::string> TicketBefore(uint64_t number) const;
  bool TakeSlots(int32_t count);
  bool WaitForSlots(int32_t count, const Wait &wait, bool *told);

  const std::string directory_;
  const int32_t slots_;
  std::vector<SlotFile> files_;
};

}  // namespace trainyard
