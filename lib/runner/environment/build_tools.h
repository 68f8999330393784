// The programs that prepare a run: pip, conda, container engines, the unpacker of archives. What they print goes to one
// log; they end with the run they work for. Thread rule: one thread at a time, which lives as long as what it runs.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace trainyard {

class BuildTools {
 public:
  // `log` is appended to; empty = nowhere. `marker` is in the environment of all that is started (kRunIdVariable), so
  // that it is found whatever becomes of its parents. `go_on` false ends what runs.
  BuildTools(std::string log, std::string marker, std::function<bool()> go_on);

  struct Options {
    std::string directory = "/";
    std::map<std::string, std::string> variables;  // on top of this process's
    bool quiet = false;                            // standard output is for us, not for the log
  };
  struct Result {
    int exit_code = 0;  // 128 + signal when one ended it
    std::string output;
    bool ok() const { return exit_code == 0; }
  };
  // Returns when the program has ended, and with it all that it started when it was stopped. Throws Error kCanceled;
  // kRuntime when it cannot be started.
  Result Run(const std::vector<std::string> &command, const Options &options);
  Result Run(const std::vector<std::string> &command) { return Run(command, Options()); }

  void Say(const std::string &line) const;  // to the log
  const std::function<bool()> &go_on() const { return go_on_; }

 private:
  const std::string log_, marker_;
  const std::function<bool()> go_on_;
};

// Where a program is in this process's PATH; empty = nowhere.
std::string FindInPath(const std::string &program);

}  // namespace trainyard
