#include "launch/oom.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "util/text.h"

namespace trainyard {
namespace {

// The number after "oom_kill " in a file of "name number" lines; 0 when there is none.
int64_t ReadCount(const std::string &path) {
  std::ifstream file(path);
  std::string name;
  int64_t number = 0;
  while (file >> name >> number) {
    if (name == "oom_kill") return number;
  }
  return 0;
}

// Lines of /proc/self/cgroup: "<id>:<controllers>:<path>", controllers empty for version 2.
int64_t ReadCgroupCount() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  int64_t count = 0;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) count = std::max(count, ReadCount("/sys/fs/cgroup" + path + "/memory.events"));
    for (const std::string_view controller : Split(controllers, ',')) {
      if (controller == "memory")
        count = std::max(count, ReadCount("/sys/fs/cgroup/memory" + path + "/memory.oom_control"));
    }
  }
  return count;
}

int64_t ReadAll() {
  return ReadCgroupCount() + ReadCount("/proc/vmstat");
}

}  // namespace

OomWatch::OomWatch() : last_(ReadAll()) {}

bool OomWatch::KilledSince() {
  const int64_t now = ReadAll();
  const bool killed = now > last_;
  last_ = now;
  return killed;
}

}  // namespace trainyard
