#include "compute/slot_queue.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "compute/machine.h"
#include "util/error.h"
#include "util/json.h"
#include "util/log.h"

namespace trainyard {
namespace {

constexpr int kLookEveryMs = 1000;  // where inotify is exhausted, or a GPU of another queue was freed
constexpr int kAfterWakeAttempts = 5;
constexpr useconds_t kAfterWakeUs = 1000;
constexpr size_t kMaxRecordBytes = 8192;

std::string ReadRecord(int fd) {
  std::string text(kMaxRecordBytes, '\0');
  const ssize_t count = pread(fd, text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return text;
}

void WriteRecord(int fd, const std::string &text) {
  // Beside the point for the queue itself: only what may be interrupted for others is read from it.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) < 0) errno = 0;
}

}  // namespace

int32_t MostSlots(const Capacity &capacity) {
  int32_t most = 1;
  for (const QueueNode &node : capacity.nodes) most = std::max(most, node.slots);
  return most;
}

SlotQueue::SlotQueue(Capacity capacity, QueuedRun run)
    : capacity_(std::move(capacity)), run_(std::move(run)), line_(capacity_.Tickets()) {
  Demand &demand = run_.ticket.demand;
  demand.slots = std::clamp(demand.slots, 1, MostSlots(capacity_));
  MakeDirs(capacity_.Slots());
  MakeDirs(capacity_.Tickets());
}

void SlotQueue::Hold() {
  const std::lock_guard guard(place_mutex_);
  if (place_.valid()) return;
  const UniqueFd lock = line_.Lock();
  if (run_.ticket.number == 0) run_.ticket.number = line_.NextNumber(lock);
  place_ = line_.Hold(run_.ticket);
}

void SlotQueue::StepAside() {
  const std::lock_guard guard(place_mutex_);
  if (!place_.valid()) return;
  const UniqueFd lock = line_.Lock();
  line_.Remove(place_, run_.ticket);
  place_.Reset();
}

void SlotQueue::Started() {
  const std::lock_guard guard(place_mutex_);
  // Not left to the close: the ranks' processes may have a copy for a moment.
  if (starting_.valid()) flock(starting_.get(), LOCK_UN);
  starting_.Reset();
}

void SlotQueue::Release() {
  Started();
  if (units_.empty()) return;
  const UniqueFd lock = line_.Lock();  // so that the next see all of it free at once
  ForEachUnit([](Unit &unit) {
    if (unit.held == Unit::Held::kNo) return;
    if (unit.held == Unit::Held::kAlone) WriteRecord(unit.fd.get(), "{}");
    futimens(unit.fd.get(), nullptr);  // used until now
    Unlock(&unit);                     // before the close, which wakes who waits for it
  });
  units_.clear();
  grant_ = {};
}

void SlotQueue::ForEachUnit(const std::function<void(Unit &)> &work) {
  for (NodeUnits &node : units_) {
    for (Unit &unit : node.slots) work(unit);
    for (Unit &unit : node.gpus) work(unit);
  }
}

void SlotQueue::Lock(Unit *unit, bool share) {
  if (flock(unit->fd.get(), LOCK_EX | LOCK_NB) == 0) {
    unit->held = Unit::Held::kAlone;
  } else if (share && flock(unit->fd.get(), LOCK_SH | LOCK_NB) == 0) {
    unit->held = Unit::Held::kShared;
  }
}

void SlotQueue::Unlock(Unit *unit) {
  if (unit->held != Unit::Held::kNo) flock(unit->fd.get(), LOCK_UN);
  unit->held = Unit::Held::kNo;
}

// Once: the close of each failed attempt would wake whoever watches the directory, this object included.
void SlotQueue::OpenUnits(bool gpus) {
  const auto open_file = [](Unit *unit) {
    if (!unit->fd.valid()) unit->fd = OpenFile(unit->path, O_RDWR | O_CREAT);
  };
  units_.resize(capacity_.nodes.size());
  for (size_t i = 0; i < units_.size(); ++i) {
    const QueueNode &node = capacity_.nodes[i];
    for (auto slot = static_cast<int32_t>(units_[i].slots.size()); slot < node.slots; ++slot) {
      units_[i].slots.push_back({capacity_.Slots() + "/" + std::to_string(i) + "-" + std::to_string(slot), {}, {}});
    }
    for (size_t gpu = units_[i].gpus.size(); gpus && gpu < node.gpus.size(); ++gpu) {
      units_[i].gpus.push_back({capacity_.machine_directory + "/gpus/" + node.gpus[gpu].id, {}, {}});
    }
    for (Unit &unit : units_[i].slots) open_file(&unit);
    for (Unit &unit : units_[i].gpus) open_file(&unit);
  }
}

std::vector<FreeNode> SlotQueue::TakeFree(bool gpus) {
  OpenUnits(gpus);
  std::vector<FreeNode> free(units_.size());
  for (size_t i = 0; i < units_.size(); ++i) {
    for (Unit &unit : units_[i].slots) {
      Lock(&unit, false);
      if (unit.held != Unit::Held::kNo) ++free[i].slots;
    }
    for (Unit &unit : units_[i].gpus) {
      Lock(&unit, run_.ticket.demand.share_gpus);
      if (unit.held == Unit::Held::kAlone) ++free[i].gpus;
      if (unit.held == Unit::Held::kShared) ++free[i].shared_gpus;
    }
  }
  return free;
}

bool SlotQueue::KeepGpus(NodeUnits *units, Grant::Node *node) const {
  const Demand &demand = run_.ticket.demand;
  // Unused ones first.
  for (const Unit::Held kind : {Unit::Held::kAlone, Unit::Held::kShared}) {
    for (size_t i = 0; i < units->gpus.size() && static_cast<int32_t>(node->gpus.size()) < demand.gpus; ++i) {
      if (units->gpus[i].held != kind) continue;
      const GpuDevice &gpu = capacity_.nodes[static_cast<size_t>(node->index)].gpus[i];
      if (std::find(node->gpus.begin(), node->gpus.end(), gpu) == node->gpus.end()) node->gpus.push_back(gpu);
    }
  }
  for (size_t i = 0; i < units->gpus.size(); ++i) {
    Unit &unit = units->gpus[i];
    const GpuDevice &gpu = capacity_.nodes[static_cast<size_t>(node->index)].gpus[i];
    const bool wanted = std::find(node->gpus.begin(), node->gpus.end(), gpu) != node->gpus.end();
    if (!wanted) {
      Unlock(&unit);
    } else if (demand.share_gpus && unit.held == Unit::Held::kAlone) {
      if (flock(unit.fd.get(), LOCK_SH | LOCK_NB) != 0) return false;
      unit.held = Unit::Held::kShared;
    }
  }
  return static_cast<int32_t>(node->gpus.size()) == demand.gpus;
}

bool SlotQueue::Keep(const std::vector<int32_t> &nodes) {
  const Demand &demand = run_.ticket.demand;
  Grant grant;
  for (size_t i = 0; i < units_.size(); ++i) {
    const bool chosen = std::find(nodes.begin(), nodes.end(), static_cast<int32_t>(i)) != nodes.end();
    int32_t slots = 0;
    for (Unit &unit : units_[i].slots) {
      if (unit.held == Unit::Held::kNo) continue;
      if (chosen && slots < demand.slots) {
        ++slots;
      } else {
        Unlock(&unit);
      }
    }
    if (!chosen) {
      for (Unit &unit : units_[i].gpus) Unlock(&unit);
      continue;
    }
    const QueueNode &node = capacity_.nodes[i];
    Grant::Node granted{static_cast<int32_t>(i), node.name, node.address, slots, {}};
    if (!KeepGpus(&units_[i], &granted)) return false;
    grant.nodes.push_back(std::move(granted));
  }
  grant_ = std::move(grant);
  return true;
}

std::string SlotQueue::Record() const {
  Json json = Json::Object();
  json.Set("run", run_.id).Set("priority", run_.ticket.priority).Set("number", run_.ticket.number);
  if (!run_.yield_file.empty()) json.Set("yield_file", run_.yield_file);
  return json.Dump();
}

// When it has everything it has left the line. `before` is given with kBehind.
SlotQueue::Turn SlotQueue::TryToTake(std::optional<Ticket> *before) {
  const UniqueFd lock = line_.Lock();
  std::vector<Ticket> ahead = line_.Ahead(run_.ticket);
  const auto nearest = std::find_if(ahead.rbegin(), ahead.rend(),
                                    [&](const Ticket &other) { return SameLine(other.demand, run_.ticket.demand); });
  if (nearest != ahead.rend()) {
    *before = *nearest;
    return Turn::kBehind;
  }
  UniqueFd starting = LockFile(StartingFile(), LOCK_EX | LOCK_NB);
  if (!starting.valid()) return Turn::kStarting;
  line_.DropDead(&ahead);
  const bool gpus = run_.ticket.demand.gpus > 0 ||
                    std::any_of(ahead.begin(), ahead.end(), [](const Ticket &other) { return other.demand.gpus > 0; });
  // GPUs belong to all queues of the machine.
  const UniqueFd gpu_lock = gpus ? LockFile(capacity_.machine_directory + "/gpus.lock", LOCK_EX) : UniqueFd();
  const std::vector<FreeNode> free = TakeFree(gpus);
  const auto nodes = PlaceBehind(ahead, run_.ticket.demand, free);
  if (!nodes) AskForRoom(ahead, free);
  const bool taken = nodes && Keep(*nodes);
  const std::string record = Record();
  ForEachUnit([&](Unit &unit) {
    if (!taken) Unlock(&unit);
    if (unit.held != Unit::Held::kNo) WriteRecord(unit.fd.get(), record);
  });
  if (!taken) return Turn::kNoRoom;
  const std::lock_guard guard(place_mutex_);
  starting_ = std::move(starting);
  line_.Remove(place_, run_.ticket);
  place_.Reset();
  return Turn::kTaken;
}

// Who holds what this run could not lock and may be interrupted, by what they have left in their slots and GPUs.
std::vector<Victim> SlotQueue::RunningOnes(std::vector<std::string> *yield_files) const {
  std::map<std::string, Victim> running;
  const auto add = [&](const Unit &unit, size_t node, int32_t FreeNode::*kind) {
    if (unit.held != Unit::Held::kNo) return;
    const std::string text = ReadRecord(unit.fd.get());
    if (text.empty()) return;
    try {
      const Json json = Json::Parse(text, unit.path);
      if (!json.Has("yield_file")) return;
      Victim &victim = running[json.GetString("yield_file")];
      victim.priority = static_cast<int32_t>(json.GetInt64("priority"));
      victim.number = static_cast<uint64_t>(json.GetInt64("number"));
      victim.frees.resize(units_.size());
      ++(victim.frees[node].*kind);
    } catch (const Error &error) {
      Log(LogLevel::kWarning, std::string("the queue's record is not usable: ") + error.what());
    }
  };
  for (size_t i = 0; i < units_.size(); ++i) {
    for (const Unit &unit : units_[i].slots) add(unit, i, &FreeNode::slots);
    for (const Unit &unit : units_[i].gpus) add(unit, i, &FreeNode::gpus);
  }
  std::vector<Victim> victims;
  for (const auto &[yield_file, victim] : running) {
    yield_files->push_back(yield_file);
    victims.push_back(victim);
  }
  return victims;
}

void SlotQueue::AskForRoom(const std::vector<Ticket> &ahead, const std::vector<FreeNode> &free) const {
  std::vector<std::string> yield_files;
  const std::vector<Victim> running = RunningOnes(&yield_files);
  for (const size_t index : ChooseVictims(ahead, run_.ticket, free, running)) {
    const std::string &path = yield_files[index];
    try {
      if (PathExists(path)) continue;
      Log(LogLevel::kInfo, "asking a run of lower priority to make room: " + path);
      WriteFileAtomic(path, "", 0600, /*sync=*/false);
    } catch (const Error &error) {
      Log(LogLevel::kWarning, std::string("cannot ask a run to make room: ") + error.what());
    }
  }
}

// Sleeps until nobody stands there any more. False when canceled.
bool SlotQueue::AwaitTicket(const Ticket &before, const Wait &wait, bool *told) {
  const UniqueFd fd(open(line_.Path(before).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return true;  // it went between the list and here
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (!*told) wait.on_wait();
    *told = true;
    if (wait.canceled()) return false;
    if (flock(fd.get(), LOCK_EX) != 0) return !wait.canceled();
  }
  const UniqueFd lock = line_.Lock();
  line_.Remove(fd, before);
  return true;
}

// Sleeps until the run that is starting has started, or has ended. False when canceled.
bool SlotQueue::AwaitStart(const Wait &wait) const {
  if (wait.canceled()) return false;
  const UniqueFd fd = OpenFile(StartingFile(), O_RDWR | O_CREAT);
  flock(fd.get(), LOCK_EX);  // to be woken; TryToTake takes it for good. Interrupted: for a cancel
  return !wait.canceled();
}

// Sleeps until a slot, a GPU or a ticket is given back. False when canceled.
bool SlotQueue::AwaitChange(const Wait &wait, bool *told) {
  if (!*told) {
    wait.on_wait();
    *told = true;
  }
  if (!inotify_.valid()) {
    inotify_.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    bool watching = inotify_.valid();
    watching = watching && inotify_add_watch(inotify_.get(), capacity_.Slots().c_str(), IN_CLOSE_WRITE) >= 0;
    watching = watching && inotify_add_watch(inotify_.get(), capacity_.Tickets().c_str(), IN_DELETE) >= 0;
    const std::string gpus = capacity_.machine_directory + "/gpus";
    watching = watching && inotify_add_watch(inotify_.get(), gpus.c_str(), IN_CLOSE_WRITE) >= 0;
    if (!watching) inotify_.Reset();
    if (watching) return !wait.canceled();  // what changed before the watch is seen by one more look
  }
  pollfd entry{inotify_.get(), POLLIN, 0};
  poll(&entry, 1, kLookEveryMs);
  std::array<char, 4096> buffer;
  while (inotify_.valid() && read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
  }
  return !wait.canceled();
}

void SlotQueue::CloseUnused(bool acquired) {
  // Only now, with the ticket: it wakes the next in line once at most.
  for (NodeUnits &node : units_) {
    for (std::vector<Unit> *kind : {&node.slots, &node.gpus}) {
      std::erase_if(*kind, [](const Unit &unit) { return unit.held == Unit::Held::kNo; });
    }
  }
  if (!acquired) units_.clear();
  inotify_.Reset();
}

bool SlotQueue::Acquire(const Wait &wait) {
  Release();
  Hold();
  bool told = false;
  bool going = true;
  while (going) {
    std::optional<Ticket> before;
    Turn turn = TryToTake(&before);
    // The kernel reports the close of a killed holder's file shortly before it gives the lock back.
    for (int attempt = 1; told && turn == Turn::kNoRoom && attempt < kAfterWakeAttempts; ++attempt) {
      usleep(kAfterWakeUs);
      turn = TryToTake(&before);
    }
    switch (turn) {
      case Turn::kTaken:
        CloseUnused(true);
        return true;
      case Turn::kBehind:
        inotify_.Reset();
        going = AwaitTicket(*before, wait, &told);
        break;
      case Turn::kStarting:
        going = AwaitStart(wait);
        break;
      case Turn::kNoRoom:
        going = AwaitChange(wait, &told);
    }
  }
  StepAside();
  CloseUnused(false);
  return false;
}

}  // namespace trainyard
