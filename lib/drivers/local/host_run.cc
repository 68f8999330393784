#include "drivers/local/host_run.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "util/error.h"

namespace trainyard {
namespace {

// A run by its directory, whatever path leads there; in a forked child nothing is executed by "this process".
struct Place {
  uint64_t device = 0, inode = 0;
  pid_t process = 0;
  auto operator<=>(const Place &) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
};

struct Registry {
  std::mutex mutex;
  std::map<Place, std::shared_ptr<HostRun>> runs;
};

// Never destroyed: a run that is still there when the process ends was not ended.
Registry &AllRuns() {
  static auto *const registry = new Registry();
  return *registry;
}

std::optional<Place> PlaceOf(const RunLayout &run) {
  const auto info = Stat(run.Root());
  if (!info) return std::nullopt;
  return Place{info->device, info->inode, getpid()};
}

}  // namespace

HostRun::HostRun(const RunLayout &run, UniqueFd lock)
    : lock_(std::move(lock)), journal_(std::make_shared<JournalWriter>(run.Journal(), 0, 0)) {}

std::shared_ptr<HostRun> HostRun::Begin(const RunLayout &run) {
  UniqueFd lock = OpenFile(run.Lock(), O_RDWR | O_CREAT);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Error(Status::kBusy, "another process has the run (it holds '" + run.Lock() + "')", {{"path", run.Lock()}});
  }
  const std::string text = std::to_string(getpid()) + "\n";
  WriteAll(lock.get(), text.data(), text.size(), run.Lock());
  const auto place = PlaceOf(run);
  if (!place) throw Error::NotFound("the run's directory '" + run.Root() + "' is gone", {{"path", run.Root()}});
  const std::shared_ptr<HostRun> host(new HostRun(run, std::move(lock)));
  Registry &all = AllRuns();
  const std::lock_guard guard(all.mutex);
  all.runs[*place] = host;
  return host;
}

std::shared_ptr<HostRun> HostRun::Find(const RunLayout &run) {
  const auto place = PlaceOf(run);
  if (!place) return nullptr;
  Registry &all = AllRuns();
  const std::lock_guard guard(all.mutex);
  const auto found = all.runs.find(*place);
  return found == all.runs.end() ? nullptr : found->second;
}

void HostRun::End() {
  journal_->Close();
  Registry &all = AllRuns();
  const std::lock_guard guard(all.mutex);
  std::erase_if(all.runs, [this](const auto &entry) { return entry.second.get() == this; });
  lock_.Reset();
}

}  // namespace trainyard
