#include "runner/environment/container.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/runtime.h"
#include "runner/environment/kinds.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kRunLabel[] = "trainyard.run";
constexpr char kDefaultShmSize[] = "2g";

void Add(std::vector<std::string> *command, const std::vector<std::string> &words) {
  command->insert(command->end(), words.begin(), words.end());
}

std::vector<std::string> EngineCommand(const ContainerEngine &engine, const std::vector<std::string> &words) {
  std::vector<std::string> command = engine.command;
  Add(&command, words);
  return command;
}

std::string ShellWord(const std::string &text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string PythonOf(const Environment &environment) {
  return environment.interpreter.empty() ? "python3" : environment.interpreter;
}

// What is put on top of the base image.
std::string InstallLines(const MakeRequest &request) {
  const Definition &definition = request.definition;
  std::string text;
  if (!definition.conda.empty() || !definition.python.empty()) {
    std::string packages;
    for (const Requirement &requirement : definition.python) packages += " " + ShellWord(requirement.text);
    for (const Requirement &requirement : definition.conda) packages += " " + ShellWord(requirement.text);
    std::string channels;
    for (const std::string &channel : definition.channels) channels += " -c " + ShellWord(channel);
    text +=
        "RUN tool=$(command -v micromamba || command -v mamba || command -v conda) || "
        "{ echo 'ERROR: the image has none of micromamba, mamba and conda' >&2; exit 1; }; "
        "\"$tool\" install -y -n base" +
        channels + packages + "\n";
  }
  if (!definition.pip.empty()) {
    text += "COPY requirements.txt /tmp/trainyard-requirements.txt\nRUN PIP_BREAK_SYSTEM_PACKAGES=1 " +
            ShellWord(PythonOf(request.environment)) +
            " -m pip install --no-cache-dir --progress-bar off -r /tmp/trainyard-requirements.txt\n";
  }
  return text;
}

// A file of credentials that exists in memory alone, for engines that want a path.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string &text) : fd_(memfd_create("trainyard-auth", MFD_CLOEXEC)) {
    if (!fd_.valid()) throw Error::FromErrno(errno, "make", "memory file");
    WriteAll(fd_.get(), text.data(), text.size(), "memory file");
  }
  std::string path() const { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_.get()); }

 private:
  UniqueFd fd_;
};

std::string Base64(std::string_view text) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string encoded;
  for (size_t i = 0; i < text.size(); i += 3) {
    uint32_t bits = 0;
    const size_t count = std::min<size_t>(3, text.size() - i);
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < count ? static_cast<unsigned char>(text[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j) encoded += j <= count ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return encoded;
}

std::string AuthFile(const RegistryCredentials &credentials) {
  Json entry = Json::Object();
  entry.Set("auth", Base64(credentials.username + ":" + credentials.password));
  Json auths = Json::Object();
  auths.Set(credentials.address, entry);
  Json json = Json::Object();
  json.Set("auths", auths);
  return json.Dump();
}

std::string Reason(std::string_view output) {
  std::string last;
  for (const std::string_view line : Split(output, '\n')) {
    const std::string_view text = Trim(line);
    if (text.starts_with("ERROR: ")) return PipReason(output);
    if (LowerAscii(text).find("error") != std::string::npos) last = text;
    if (last.empty() && !text.empty()) last = text;
  }
  return last;
}

bool HasImage(BuildTools *tools, const ContainerEngine &engine, const std::string &image) {
  BuildTools::Options options;
  options.quiet = true;
  return tools->Run(EngineCommand(engine, {"image", "inspect", image}), options).ok();
}

// Gets the base image, with the credentials where there are some.
void FetchBaseImage(const MakeRequest &request, const ContainerEngine &engine) {
  const std::string &image = request.environment.base_image;
  if (image.empty() || HasImage(&request.tools, engine, image)) return;
  const RegistryCredentials &credentials = request.environment.registry;
  std::vector<std::string> command = EngineCommand(engine, {"pull"});
  std::optional<MemoryFile> auth;
  if (!credentials.address.empty() && !credentials.password.empty()) {
    if (!engine.is_podman()) {
      throw Error(Status::kUnsupported,
                  "docker takes a registry's password from a file only, and passwords are not "
                  "written to files here: run 'docker login " +
                      credentials.address + "' once, or use podman");
    }
    auth.emplace(AuthFile(credentials));
    Add(&command, {"--authfile", auth->path()});
  }
  command.push_back(image);
  const BuildTools::Result result = request.tools.Run(command);
  if (!result.ok())
    throw Error(Status::kRuntime, "cannot get the base image '" + image + "': " + Reason(result.output) +
                                      "; check its name, whether its registry can be reached and needs a login, or "
                                      "build or load it on this machine first");
}

// Builds in a directory that holds the Dockerfile and the requirements alone.
void BuildImage(const MakeRequest &request, const ContainerEngine &engine, const std::string &dockerfile,
                const std::string &image) {
  const std::string context = JoinPath(request.layout.Root(), "context");
  MakeDirs(context);
  WriteFileAtomic(JoinPath(context, "Dockerfile"), dockerfile);
  std::string lines;
  for (const Requirement &requirement : request.definition.pip) lines += requirement.text + "\n";
  WriteFileAtomic(JoinPath(context, "requirements.txt"), lines);
  std::vector<std::string> command = EngineCommand(engine, {"build", "--network", "host"});
  Add(&command, engine.run_options);
  Add(&command, {"-t", image, context});
  const BuildTools::Result result = request.tools.Run(command);
  if (!result.ok()) throw Error(Status::kRuntime, BaseName(engine.command[0]) + " build: " + Reason(result.output));
}

// These and no others. Images of CUDA ask for all of them by a variable of their own, which is set to ours.
void AddGpus(std::vector<std::string> *command, bool podman, const std::vector<std::string> &gpus) {
  Add(command, {"--env", "NVIDIA_VISIBLE_DEVICES"});
  if (gpus.empty()) return;
  for (const std::string &gpu : gpus) {
    if (podman) Add(command, {"--device", "nvidia.com/gpu=" + gpu});
  }
  // The quotes are docker's: its value is a line of comma-separated fields.
  if (!podman) Add(command, {"--gpus", "\"device=" + Join(gpus, ",") + "\""});
  Add(command, {"--env", "CUDA_VISIBLE_DEVICES", "--env", "CUDA_DEVICE_ORDER"});
}

}  // namespace

void CheckContainer(const MakeRequest &request) {
  FindContainerEngine(request.workspace, &request.tools);
}

Json MakeContainer(const MakeRequest &request) {
  const Environment &environment = request.environment;
  const ContainerEngine engine = FindContainerEngine(request.workspace, &request.tools);
  FetchBaseImage(request, engine);
  std::string image = environment.base_image;
  const std::string installs = InstallLines(request);
  if (!environment.dockerfile.empty() || !installs.empty()) {
    image = "localhost/trainyard-environment:" + request.layout.Root().substr(request.layout.Root().rfind('/') + 1, 32);
    const bool own_image = HasFromLine(environment.dockerfile);
    const std::string from = own_image ? "" : "FROM " + environment.base_image + "\n";
    BuildImage(request, engine, from + environment.dockerfile + "\n" + installs, image);
  }
  std::vector<std::string> python = EngineCommand(engine, {"run", "--rm", "--network", "host"});
  Add(&python, engine.run_options);
  Add(&python, {image, PythonOf(environment)});
  Json ready = Json::Object();
  ready.Set("python", PythonOf(environment))
      .Set("image", image)
      .Set("packages", PipPackages(&request.tools, python));  // none where there is no Python
  return ready;
}

bool UseContainer(const MakeRequest &request, const Json &ready, PreparedEnvironment *prepared) {
  auto container = std::make_shared<ContainerRun>();
  container->engine = FindContainerEngine(request.workspace, &request.tools);
  container->image = ready.GetString("image");
  container->shm_size = request.environment.shm_size;
  container->arguments = request.environment.container_arguments;
  if (!HasImage(&request.tools, container->engine, container->image)) return false;  // removed meanwhile
  prepared->python = ready.GetString("python");
  prepared->container = std::move(container);
  return true;
}

std::vector<std::string> ContainerCommand(const ContainerRun &container, const ContainerShare &share,
                                          const LaunchRequest &request) {
  const bool podman = container.engine.is_podman();
  std::vector<std::string> command = EngineCommand(container.engine, {"run", "--rm", "--network", "host"});
  Add(&command, {"--label", std::string(kRunLabel) + "=" + request.run_id});
  Add(&command, {"--user", std::to_string(getuid()) + ":" + std::to_string(getgid())});
  if (podman && getuid() != 0) Add(&command, {"--userns", "keep-id"});
  Add(&command, {"--shm-size", container.shm_size.empty() ? kDefaultShmSize : container.shm_size});
  if (share.memory_bytes > 0) Add(&command, {"--memory", std::to_string(share.memory_bytes) + "b"});
  Add(&command, {"--workdir", request.working_directory});
  Add(&command, {"--volume", share.run_directory + ":" + share.run_directory});
  for (const std::string &path : share.read_only) {
    if (path.find(':') != std::string::npos) {
      throw Error::InvalidArgument("'" + path +
                                       "' cannot be shown to a container, whose engine ends a path at ':': "
                                       "rename it, or make the input one that is downloaded",
                                   {{"path", path}});
    }
    Add(&command, {"--volume", path + ":" + path + ":ro"});
  }
  if (const std::string python = RuntimeDirectory() + "/python"; IsDirectory(python))
    Add(&command, {"--volume", python + ":" + python + ":ro"});
  // By name alone: the value is that of the engine's own environment, which the launcher has made for this rank.
  for (const std::string &name : RankVariableNames()) {
    if (!name.ends_with('*') || podman) Add(&command, {"--env", name});
  }
  for (const auto &[name, value] : request.variables) Add(&command, {"--env", name});
  AddGpus(&command, podman, share.gpus);
  Add(&command, container.engine.run_options);
  Add(&command, container.arguments);
  // Not the image's own entry point: the command that follows is the job's.
  Add(&command, {"--entrypoint", "", container.image});
  return command;
}

void RemoveContainers(const ContainerRun &container, const std::string &run_id) {
  BuildTools tools("", run_id, [] { return true; });
  BuildTools::Options quiet;
  quiet.quiet = true;
  const BuildTools::Result list = tools.Run(
      EngineCommand(container.engine, {"ps", "-aq", "--filter", "label=" + std::string(kRunLabel) + "=" + run_id}),
      quiet);
  for (const std::string_view id : Split(list.output, '\n')) {
    if (!Trim(id).empty()) tools.Run(EngineCommand(container.engine, {"rm", "-f", std::string(Trim(id))}), quiet);
  }
}

}  // namespace trainyard
