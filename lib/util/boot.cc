#include "util/boot.h"

#include <unistd.h>

#include <array>

#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {

std::string BootId() {
  try {
    return std::string(Trim(ReadFileIfExists("/proc/sys/kernel/random/boot_id", 4096).value_or("")));
  } catch (const Error &) {
    return "";
  }
}

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

int64_t ProcessStartTime(int64_t pid) {
  std::optional<std::string> stat;
  try {
    stat = ReadFileIfExists("/proc/" + std::to_string(pid) + "/stat", 65536);
  } catch (const Error &) {
    return 0;  // it ended while we read
  }
  if (!stat) return 0;
  // The name (field 2) is in parentheses and may hold anything.
  const size_t end = stat->rfind(')');
  if (end == std::string::npos || end + 2 > stat->size()) return 0;
  const auto fields = Split(std::string_view(*stat).substr(end + 2), ' ');
  return fields.size() > 19 ? ParseInt64(fields[19]).value_or(0) : 0;
}

}  // namespace trainyard
