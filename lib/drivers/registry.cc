#include <cstdlib>
#include <string>

#include "drivers/driver.h"
#include "drivers/local/local_driver.h"
#include "util/error.h"

namespace trainyard {
namespace {

struct DriverRow {
  std::string_view scheme;  // of the location; "" = a plain path
  std::shared_ptr<Driver> (*open)(const std::string &location);
};

// A new back-end is a folder and a row.
constexpr DriverRow kDrivers[] = {
    {"", &OpenLocalWorkspace},
};

std::string_view SchemeOf(std::string_view location) {
  const size_t end = location.find("://");
  return end == std::string_view::npos ? std::string_view() : location.substr(0, end);
}

std::string Variable(const char *name) {
  const char *value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
  return value == nullptr ? "" : value;
}

}  // namespace

std::shared_ptr<Driver> OpenWorkspace(const std::string &location) {
  if (location.empty()) throw Error::InvalidArgument("the workspace location is empty: give a directory");
  const std::string_view scheme = SchemeOf(location);
  for (const DriverRow &row : kDrivers) {
    if (row.scheme == scheme) return row.open(location);
  }
  throw Error(Status::kUnsupported, "workspace location '" + location + "': this release opens directories only");
}

CurrentRun FindCurrentRun() {
  CurrentRun run;
  run.id = Variable("TRAINYARD_RUN_ID");
  run.experiment = Variable("TRAINYARD_EXPERIMENT");
  const std::string workspace = Variable("TRAINYARD_WORKSPACE");
  if (run.id.empty() || workspace.empty()) {
    throw Error::NotFound(
        "this process is not part of a run: TRAINYARD_RUN_ID and TRAINYARD_WORKSPACE are not set (a run's ranks have "
        "them)");
  }
  run.driver = OpenLocalWorkspaceLater(workspace);
  return run;
}

}  // namespace trainyard
