#include "engine/runtime.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kRunnerName[] = "trainyard-runner";
constexpr char kLibraryName[] = "libtrainyard.so";

struct Choice {
  std::mutex mutex;
  std::string directory;
};

// Process-wide because ty_runtime_set_directory is; never destroyed, so that threads that outlive main() may still ask.
Choice &Chosen() {
  static Choice &choice = *new Choice;  // NOLINT(cppcoreguidelines-owning-memory)
  return choice;
}

// Why a directory is not a runtime directory; nullopt when it is one.
std::optional<std::string> Objection(const std::string &directory) {
  const std::string runner = JoinPath(directory, kRunnerName);
  if (access(runner.c_str(), X_OK) == 0) return std::nullopt;
  return errno == ENOENT ? "no " + std::string(kRunnerName) + " there"
                         : "its runner cannot be executed: " + std::string(strerror(errno));
}

// The library or program that this code is in; empty when that cannot be known.
std::string OwnPath() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void *>(&RuntimeDirectory), &info) == 0 || info.dli_fname == nullptr) return "";
  std::string path = info.dli_fname;
  // For a program dladdr answers argv[0].
  if (path.find('/') == std::string::npos || access(path.c_str(), F_OK) != 0) path = "/proc/self/exe";
  char *real = realpath(path.c_str(), nullptr);
  if (real == nullptr) return "";
  path = real;
  free(real);  // NOLINT(cppcoreguidelines-no-malloc): realpath's own
  return path;
}

bool IsLibrary(const std::string &path) {
  return BaseName(path).starts_with(kLibraryName) && access(path.c_str(), R_OK) == 0;
}

std::vector<std::string> Candidates() {
  std::vector<std::string> found;
  const char *variable = std::getenv("TRAINYARD_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (variable != nullptr && *variable != '\0') {
    found.emplace_back(variable);  // a wrong value must be told, not skipped over
    return found;
  }
  const std::string own_path = OwnPath();
  if (own_path.empty()) return found;
  const std::string own = ParentPath(own_path);
  found.push_back(own);                                                     // a program of the runtime directory itself
  found.push_back(AbsolutePath(JoinPath(own, "../libexec/trainyard")));     // <prefix>/lib
  found.push_back(AbsolutePath(JoinPath(own, "../../libexec/trainyard")));  // <prefix>/lib/<architecture>
  found.push_back(JoinPath(own, "trainyard"));
  return found;
}

}  // namespace

void SetRuntimeDirectory(const std::string &directory) {
  if (!directory.empty()) {
    if (const auto objection = Objection(directory)) {
      throw Error(Status::kRuntime, "'" + directory + "' is no runtime directory: " + *objection,
                  {{"path", directory}});
    }
  }
  Choice &choice = Chosen();
  const std::lock_guard lock(choice.mutex);
  choice.directory = directory.empty() ? "" : AbsolutePath(directory);
}

std::string RuntimeDirectory() {
  {
    Choice &choice = Chosen();
    const std::lock_guard lock(choice.mutex);
    if (!choice.directory.empty()) return choice.directory;
  }
  std::vector<std::string> tried;
  for (const std::string &candidate : Candidates()) {
    const auto objection = Objection(candidate);
    if (!objection) return candidate;
    tried.push_back("'" + candidate + "' (" + *objection + ")");
  }
  throw Error(Status::kRuntime, "no runtime directory with " + std::string(kRunnerName) + " found; tried " +
                                    Join(tried, ", ") + "; set TRAINYARD_RUNTIME_DIR or call ty_runtime_set_directory");
}

std::string RunnerPath() {
  return JoinPath(RuntimeDirectory(), kRunnerName);
}

std::string LibraryPath() {
  const std::string own = OwnPath();
  if (IsLibrary(own)) return own;
  const char *variable = std::getenv("TRAINYARD_LIBRARY");  // NOLINT(concurrency-mt-unsafe)
  if (variable != nullptr && *variable != '\0') return variable;
  // <prefix>/libexec/trainyard; <prefix>/lib, or <prefix>/lib/<architecture>.
  const std::string lib = AbsolutePath(JoinPath(RuntimeDirectory(), "../../lib"));
  if (!IsDirectory(lib)) return "";
  std::vector<std::string> directories = {lib};
  for (const DirEntry &entry : ListDir(lib)) {
    if (entry.name.find("-linux-") != std::string::npos) directories.push_back(JoinPath(lib, entry.name));
  }
  for (const std::string &directory : directories) {
    for (const DirEntry &entry : ListDir(directory)) {
      if (IsLibrary(JoinPath(directory, entry.name))) return JoinPath(directory, entry.name);
    }
  }
  return "";
}

}  // namespace trainyard
