// The queue without a daemon: who of the runs that wait for a compute's slots and GPUs may have them. The rules are in
// core/queue_rules.h; here they are carried out with files that living processes lock (compute/machine.h), so nothing
// is lost with a process that is killed.
//
//   <capacity's directory>/slots/<node>-<n>   held by flock by the run that uses that slot. In it, while it is held:
//                                             {"run","priority","number","yield_file"}; its time of change is when it
//                                             was used last
//   <capacity's directory>/tickets/           the line (compute/ticket_line.h)
//   <capacity's directory>/starting           held by the run that has what it wants until its ranks are there: nobody
//                                             takes anything meanwhile, so runs start one by one, in the line's order
//   <machine directory>/gpus/<id>             as a slot; locked shared by runs that share it
//
// A waiter sleeps in flock() on the nearest ticket of its own kind before it; only the first of each kind (with GPUs,
// without) looks at slots, when one of them is closed or a ticket goes. It holds nothing until it can have all.
//
// Thread rule: one thread at a time, but for StepAside and Started.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "compute/gpu.h"
#include "compute/ticket_line.h"
#include "core/queue_rules.h"
#include "util/fs.h"

namespace trainyard {

// What there is to be had.
struct QueueNode {
  std::string name, address;
  int32_t slots = 1;
  std::vector<GpuDevice> gpus;
};
struct Capacity {
  std::string machine_directory;
  std::string directory;  // of this queue
  std::vector<QueueNode> nodes;

  std::string Tickets() const { return directory + "/tickets"; }
  std::string Slots() const { return directory + "/slots"; }
};

// Of its largest node; 1 at least.
int32_t MostSlots(const Capacity &capacity);

// Who wants it.
struct QueuedRun {
  Ticket ticket;           // number 0: the next one
  std::string id;          // for people
  std::string yield_file;  // made by a run of higher priority that wants its place; empty: it stays to its end
};

// What a run got.
struct Grant {
  struct Node {
    int32_t index = 0;  // among the capacity's
    std::string name, address;
    int32_t slots = 0;
    std::vector<GpuDevice> gpus;
  };
  std::vector<Node> nodes;
};

class SlotQueue {
 public:
  // A demand for more slots than a node has is one for all of them.
  SlotQueue(Capacity capacity, QueuedRun run);

  // Takes the place in line without waiting. From now on nobody behind it starts before it, until StepAside, which
  // lets the others pass while this run cannot start anyway; it comes back with the same number. Thread-safe.
  void Hold();
  void StepAside();

  struct Wait {
    std::function<bool()> canceled;  // looked at whenever a system call was interrupted, and now and then
    std::function<void()> on_wait;   // once, before the first sleep
  };
  // Waits its turn. False when canceled. What it got is held until this object goes or Release; the others wait until
  // Started, however much is free.
  bool Acquire(const Wait &wait);
  // The run has started, or takes so long that it is not waited for. Once more changes nothing. Thread-safe.
  void Started();
  void Release();
  const Grant &grant() const { return grant_; }

 private:
  struct Unit {  // a slot or a GPU
    std::string path;
    UniqueFd fd;
    enum class Held { kNo, kAlone, kShared } held = Held::kNo;
  };
  struct NodeUnits {
    std::vector<Unit> slots, gpus;
  };

  void ForEachUnit(const std::function<void(Unit &)> &work);
  static void Lock(Unit *unit, bool share);
  static void Unlock(Unit *unit);
  void OpenUnits(bool gpus);
  std::vector<FreeNode> TakeFree(bool gpus);
  // What a run that cannot have its slots now has to wait for first.
  enum class Turn {
    kTaken,     // for nothing: it has them
    kBehind,    // for a ticket of its own kind before it
    kStarting,  // for a run that has just got its own
    kNoRoom,    // for something to be given back
  };
  Turn TryToTake(std::optional<Ticket> *before);
  bool Keep(const std::vector<int32_t> &nodes);
  bool KeepGpus(NodeUnits *units, Grant::Node *node) const;
  void CloseUnused(bool acquired);
  std::vector<Victim> RunningOnes(std::vector<std::string> *yield_files) const;
  void AskForRoom(const std::vector<Ticket> &ahead, const std::vector<FreeNode> &free) const;
  bool AwaitTicket(const Ticket &before, const Wait &wait, bool *told);
  bool AwaitStart(const Wait &wait) const;
  bool AwaitChange(const Wait &wait, bool *told);
  std::string Record() const;
  std::string StartingFile() const { return capacity_.directory + "/starting"; }

  const Capacity capacity_;
  QueuedRun run_;
  const TicketLine line_;
  std::mutex place_mutex_;
  UniqueFd place_;     // guarded by place_mutex_
  UniqueFd starting_;  // likewise
  std::vector<NodeUnits> units_;
  UniqueFd inotify_;
  Grant grant_;
};

}  // namespace trainyard
