#include "drivers/local/ask_runner.h"

#include "engine/runtime.h"
#include "util/build_id.h"
#include "util/fs.h"
#include "util/process.h"

namespace trainyard {

Json AskRunner(const std::string &task, const std::vector<std::string> &arguments, const Json &request,
               std::chrono::milliseconds time_limit) {
  const TempDir directory("trainyard-validate");  // the runner removes one of that name when the host is gone
  const std::string report = JoinPath(directory.path(), "report.json");
  DetachedCommand command;
  command.program = RunnerPath();
  command.arguments = {task};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  command.arguments.insert(command.arguments.end(), {report, "--build-id", BuildId()});
  command.input = request.Dump();
  command.timeout = time_limit;
  SpawnDetached(command);
  return Json::Parse(ReadFile(report), "report");
}

}  // namespace trainyard
