#include "engine/loader.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kEngineName[] = "libtrainyard_torch.so";
constexpr char kTorchCpu[] = "libtorch_cpu.so";
constexpr char kTorchCuda[] = "libtorch_cuda.so";

// The path of an already loaded library whose file name starts with `name`; empty when there is none.
std::string FindLoaded(std::string_view name) {
  struct Search {
    std::string_view name;
    std::string path;
  } search{name, ""};
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *data) {
        auto &wanted = *static_cast<Search *>(data);
        const std::string_view path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
        const size_t slash = path.rfind('/');
        const std::string_view base = slash == std::string_view::npos ? path : path.substr(slash + 1);
        if (base.substr(0, wanted.name.size()) != wanted.name) return 0;
        wanted.path = std::string(path);
        return 1;
      },
      &search);
  return search.path;
}

// Directories that may hold LibTorch, best first, with why each is a candidate.
std::vector<std::pair<std::string, std::string>> TorchDirectories(const std::string &runtime) {
  std::vector<std::pair<std::string, std::string>> found;
  const char *variable = std::getenv("TRAINYARD_TORCH_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (variable != nullptr && *variable != '\0') {
    const std::string root = variable;
    // A directory as -DTorch_ROOT takes it, an unpacked wheel, or the library directory itself.
    for (const char *below : {"/lib", "/torch/lib", ""}) {
      if (access((root + below + "/" + kTorchCpu).c_str(), R_OK) == 0) {
        found.emplace_back(root + below, "TRAINYARD_TORCH_DIR");
        return found;
      }
    }
    found.emplace_back(root, "TRAINYARD_TORCH_DIR");
    return found;
  }
  found.emplace_back(JoinPath(runtime, "torch/lib"), "beside the engine");
  if (const auto text = ReadFileIfExists(JoinPath(runtime, "torch.path"))) {
    found.emplace_back(std::string(Trim(*text)), "torch.path, written when the engine was built");
  }
  return found;
}

std::string DlError() {
  const char *text = dlerror();  // NOLINT(concurrency-mt-unsafe): thread-local in glibc
  return text == nullptr ? "unknown reason" : text;
}

// Whether this machine has a GPU that CUDA can use, without keeping anything open.
bool HasCudaDevice() {
  void *cuda = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (cuda == nullptr) return false;
  using Init = int (*)(unsigned);
  using Count = int (*)(int *);
  const auto init = reinterpret_cast<Init>(dlsym(cuda, "cuInit"));
  const auto count = reinterpret_cast<Count>(dlsym(cuda, "cuDeviceGetCount"));
  int devices = 0;
  const bool found = init != nullptr && count != nullptr && init(0) == 0 && count(&devices) == 0 && devices > 0;
  if (!found) dlclose(cuda);
  return found;
}

struct LoadedTorch {
  bool own = false;
  bool cuda = false;
};

bool SameFile(const std::string &a, const std::string &b) {
  const auto left = Stat(a), right = Stat(b);
  return left && right && left->device == right->device && left->inode == right->inode;
}

// The engine must find symbols of exactly one LibTorch: the one that is in the process already, or the one opened here.
LoadedTorch OpenTorch(const std::string &runtime) {
  const auto directories = TorchDirectories(runtime);
  const std::string present = FindLoaded(kTorchCpu);
  std::vector<std::string> tried;
  for (const auto &[directory, reason] : directories) {
    const std::string path = JoinPath(directory, kTorchCpu);
    if (access(path.c_str(), R_OK) != 0) {
      tried.push_back("'" + path + "' (" + reason + "; " +
                      (errno == ENOENT ? "no such file" : "no permission to read it") + ")");
      continue;
    }
    if (!present.empty()) {
      if (SameFile(present, path)) return {false, !FindLoaded(kTorchCuda).empty()};
      throw Error(Status::kEngine,
                  "another LibTorch is in this process: '" + present + "', and the engine needs '" + path +
                      "'; use one of them for both (TRAINYARD_TORCH_DIR), or train in a run of its own",
                  {{"path", path}, {"loaded", present}});
    }
    LoadedTorch torch{true, false};
    // CUDA's hooks are fixed at the first torch call: the CUDA library must be there before.
    const std::string cuda_path = JoinPath(directory, kTorchCuda);
    if (access(cuda_path.c_str(), R_OK) == 0 && HasCudaDevice()) {
      torch.cuda = dlopen(cuda_path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != nullptr;
      if (!torch.cuda)
        Log(LogLevel::kWarning, "a GPU is there, but '" + cuda_path + "' cannot be loaded: " + DlError());
    }
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != nullptr) return torch;
    tried.push_back("'" + path + "' (" + reason + "; " + DlError() + ")");
  }
  throw Error(Status::kEngine, "LibTorch cannot be loaded; tried " + (tried.empty() ? "no path" : Join(tried, ", ")) +
                                   "; set TRAINYARD_TORCH_DIR to a LibTorch directory");
}

const ty_engine &Load() {
  const std::string runtime = RuntimeDirectory();
  const std::string path = JoinPath(runtime, kEngineName);
  if (!PathExists(path)) {
    throw Error(Status::kEngine, "the training engine is not installed: no '" + path + "'", {{"path", path}});
  }
  const LoadedTorch torch = OpenTorch(runtime);
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr)
    throw Error(Status::kEngine, "the training engine cannot be loaded: " + DlError(), {{"path", path}});
  const auto entry = reinterpret_cast<ty_engine_entry>(dlsym(library, TY_ENGINE_ENTRY_NAME));
  if (entry == nullptr)
    throw Error(Status::kEngine, "'" + path + "' is no training engine: " + DlError(), {{"path", path}});
  const ty_engine *engine = entry();
  if (engine->abi_version != TY_ENGINE_ABI_VERSION || engine->struct_size != sizeof(ty_engine) ||
      std::string_view(engine->build_id) != BuildId()) {
    throw Error(
        Status::kVersion,
        "'" + path + "' is of build " + engine->build_id + ", this library of " + BuildId() + ": install them together",
        {{"path", path}});
  }
  ty_engine_error error{};
  CheckEngine(*engine, engine->initialise(torch.own ? 1 : 0, torch.cuda ? 1 : 0, &error), &error);
  return *engine;
}

}  // namespace

const ty_engine &LoadEngine() {
  static std::mutex mutex;
  static const ty_engine *loaded = nullptr;
  static std::optional<Error> failure;
  const std::lock_guard lock(mutex);
  if (loaded != nullptr) return *loaded;
  if (failure) throw Error(*failure);
  try {
    loaded = &Load();
  } catch (const Error &error) {
    // A missing directory may be set right later; a half-loaded library cannot.
    if (error.status() == Status::kEngine || error.status() == Status::kVersion) failure = error;
    throw;
  }
  return *loaded;
}

void CheckEngine(const ty_engine &engine, int32_t status, ty_engine_error *error) {
  if (status == 0) return;
  const std::string message = error->message == nullptr ? "the engine gave no reason" : error->message;
  Error::Details details;
  if (error->code != nullptr) details["code"] = error->code;
  engine.free_string(error->message);
  engine.free_string(error->code);
  *error = {};
  throw Error(static_cast<Status>(status), message, details);
}

}  // namespace trainyard
