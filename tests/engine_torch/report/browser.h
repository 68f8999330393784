// A headless Chromium that opens one page at a time and tells what it saw. Every start has a profile of its own and a
// time limit; host names lead nowhere. Single-threaded.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "engine_torch/image/image.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/process.h"
#include "util/text.h"

namespace trainyard::report {

struct Visit {
  bool ended_well = false;
  std::string dom;       // as the browser has it after loading
  std::string log;       // what the browser wrote, with the page's console
  std::string requests;  // its network log
  image::Image picture;  // empty when none was taken

  // Lines of the page's console: errors, and what the content security policy refused.
  std::vector<std::string> Console() const {
    std::vector<std::string> lines;
    for (const std::string_view line : Split(log, '\n')) {
      if (line.find("CONSOLE") != std::string_view::npos) lines.emplace_back(line);
    }
    return lines;
  }
};

class Browser {
 public:
  // "" when there is none.
  static std::string Find() {
    const char *path = getenv("PATH");
    for (const std::string_view directory : Split(path == nullptr ? "" : path, ':')) {
      for (const char *name : {"chromium", "chromium-browser", "google-chrome"}) {
        const std::string program = JoinPath(directory, name);
        if (access(program.c_str(), X_OK) == 0) return program;
      }
    }
    return "";
  }

  explicit Browser(std::string program) : program_(std::move(program)) {}

  // `options` are added to the command line.
  Visit Open(const std::string &path, int width, int height, const std::vector<std::string> &options = {}) const {
    const TempDir directory("trainyard-browser");
    const std::string picture = JoinPath(directory.path(), "picture.png");
    const std::string requests = JoinPath(directory.path(), "requests.json");
    std::vector<std::string> arguments = {
        program_,
        "--headless=new",
        "--no-sandbox",  // which root and containers cannot have; the page is ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-extensions",
        "--disable-sync",
        "--no-first-run",
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--user-data-dir=" + JoinPath(directory.path(), "profile"),
        "--log-net-log=" + requests,
        "--window-size=" + std::to_string(width) + "," + std::to_string(height),
        "--screenshot=" + picture,
        "--dump-dom",
    };
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back("file://" + path);
    Visit visit;
    visit.ended_well = Run(arguments, directory.path());
    visit.dom = ReadFileIfExists(JoinPath(directory.path(), "stdout")).value_or("");
    visit.log = ReadFileIfExists(JoinPath(directory.path(), "stderr")).value_or("");
    visit.requests = ReadFileIfExists(requests).value_or("");
    if (PathExists(picture)) visit.picture = image::DecodeImageFile(picture);
    return visit;
  }

 private:
  static constexpr int64_t kLimitMs = 60000;

  static bool Run(std::vector<std::string> arguments, const std::string &home) {
    std::vector<std::string> variables =
        ChildEnvironment({{"HOME", home}, {"XDG_CONFIG_HOME", home}, {"XDG_CACHE_HOME", home}}, {"DISPLAY", "DBUS_*"});
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, JoinPath(home, "stdout").c_str(), O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, JoinPath(home, "stderr").c_str(), O_WRONLY | O_CREAT, 0600);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // a group of its own, ended as a whole
    pid_t pid = 0;
    const int failed = posix_spawn(&pid, arguments[0].c_str(), &files, &attributes, Pointers(&arguments).data(),
                                   Pointers(&variables).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) return false;
    int status = -1;
    const int64_t deadline = MonotonicMs() + kLimitMs;
    while (waitpid(pid, &status, WNOHANG) == 0) {
      if (MonotonicMs() > deadline) {
        kill(-pid, SIGKILL);
        waitpid(pid, nullptr, 0);
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    kill(-pid, SIGKILL);  // helpers of it that linger hold the profile
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  static std::vector<char *> Pointers(std::vector<std::string> *texts) {
    std::vector<char *> pointers;
    for (std::string &text : *texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  std::string program_;
};

}  // namespace trainyard::report
