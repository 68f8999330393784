// Which container engine works here, and with which options.
#include <elf.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>

#include "runner/environment/container.h"
#include "util/boot.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kEngineVariable[] = "TRAINYARD_CONTAINER_ENGINE";
constexpr char kRunOptionsVariable[] = "TRAINYARD_CONTAINER_RUN_OPTIONS";
constexpr char kProbeImage[] = "localhost/trainyard-probe:1";

// What is tried, in this order. On machines with hybrid control groups and a low hard limit on open files podman's
// defaults fail; its older run time with limits that this process has itself works there.
struct EngineRow {
  std::vector<std::string> command;
  bool own_limits;
};
const std::vector<EngineRow> &EngineRows() {
  static const std::vector<EngineRow> kRows = {
      {{"podman"}, false},
      {{"podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc"}, true},
      {{"podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--storage-driver", "vfs"}, true},
      {{"docker"}, false},
  };
  return kRows;
}

std::string Limit(const char *name, decltype(RLIMIT_NOFILE) resource, uint64_t most) {
  rlimit limit{};
  getrlimit(resource, &limit);
  const uint64_t value = std::min<uint64_t>(limit.rlim_max, most);
  return std::string(name) + "=" + std::to_string(value) + ":" + std::to_string(value);
}

// podman lowers its own limit of processes to the kernel's highest number of one, and cannot raise it again.
std::vector<std::string> OwnLimits() {
  const std::string pid_max = ReadFileIfExists("/proc/sys/kernel/pid_max", 100).value_or("");
  const auto processes = static_cast<uint64_t>(ParseInt64(Trim(pid_max)).value_or(1 << 15));
  return {"--ulimit", Limit("nofile", RLIMIT_NOFILE, 1 << 20), "--ulimit", Limit("nproc", RLIMIT_NPROC, processes)};
}

std::vector<std::string> Words(const char *text) {
  std::vector<std::string> words;
  for (const std::string_view word : Split(text == nullptr ? "" : text, ' ')) {
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

struct Settings {
  std::vector<std::string> engine, run_options;
};

Settings ReadSettings(const Layout &workspace) {
  Settings settings;
  const std::string path = workspace.Root() + "/container.json";
  if (const auto text = ReadFileIfExists(path, 1 << 20)) {
    const Json json = Json::Parse(*text, path);
    json.CheckKeys({"engine", "run_options"});
    settings.engine = json.GetStringList("engine");
    settings.run_options = json.GetStringList("run_options");
  }
  const char *engine = std::getenv(kEngineVariable);           // NOLINT(concurrency-mt-unsafe)
  const char *run_options = std::getenv(kRunOptionsVariable);  // NOLINT(concurrency-mt-unsafe)
  if (engine != nullptr) settings.engine = Words(engine);
  if (run_options != nullptr) settings.run_options = Words(run_options);
  return settings;
}

// A program that ends with 0 and needs nothing: an ELF header, one segment, three instructions.
std::string ProbeProgram() {
#if defined(__x86_64__)
  constexpr uint16_t kMachine = EM_X86_64;
  constexpr unsigned char kCode[] = {0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05};  // edi = 0; eax = exit; syscall
#elif defined(__aarch64__)
  constexpr uint16_t kMachine = EM_AARCH64;
  constexpr unsigned char kCode[] = {0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4};
#else
#error "write the three instructions of exit(0) for this processor"
#endif
  constexpr uint64_t kBase = 0x400000;
  struct {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    unsigned char code[sizeof kCode];
  } program{};
  std::memcpy(program.header.e_ident, ELFMAG, SELFMAG);
  program.header.e_ident[EI_CLASS] = ELFCLASS64;
  program.header.e_ident[EI_DATA] = ELFDATA2LSB;
  program.header.e_ident[EI_VERSION] = EV_CURRENT;
  program.header.e_type = ET_EXEC;
  program.header.e_machine = kMachine;
  program.header.e_version = EV_CURRENT;
  program.header.e_entry = kBase + offsetof(decltype(program), code);
  program.header.e_phoff = offsetof(decltype(program), segment);
  program.header.e_ehsize = sizeof program.header;
  program.header.e_phentsize = sizeof program.segment;
  program.header.e_phnum = 1;
  program.segment.p_type = PT_LOAD;
  program.segment.p_flags = PF_R | PF_X;
  program.segment.p_vaddr = program.segment.p_paddr = kBase;
  program.segment.p_filesz = program.segment.p_memsz = sizeof program;
  program.segment.p_align = 0x1000;
  std::memcpy(program.code, kCode, sizeof kCode);
  return {reinterpret_cast<const char *>(&program), sizeof program};
}

std::vector<std::string> Command(const ContainerEngine &engine, std::initializer_list<std::string> words) {
  std::vector<std::string> command = engine.command;
  command.insert(command.end(), words);
  return command;
}

// What an engine says last is what it fails for.
std::string LastLine(std::string_view output) {
  std::string last;
  for (const std::string_view line : Split(output, '\n')) {
    if (!Trim(line).empty()) last = Trim(line);
  }
  return last.empty() ? "it failed without a word" : last;
}

// Why the engine does not work; empty when it does.
std::string Objection(const ContainerEngine &engine, BuildTools *tools) {
  if (FindInPath(engine.command[0]).empty()) return "not in PATH";
  BuildTools::Options quiet;
  quiet.quiet = true;
  if (!tools->Run(Command(engine, {"image", "inspect", kProbeImage}), quiet).ok()) {
    const TempDir directory("trainyard-probe");
    WriteFileAtomic(JoinPath(directory.path(), "probe"), ProbeProgram(), 0755, false);
    WriteFileAtomic(JoinPath(directory.path(), "Dockerfile"), "FROM scratch\nCOPY probe /probe\n", 0644, false);
    const BuildTools::Result build = tools->Run(Command(engine, {"build", "-t", kProbeImage, directory.path()}));
    if (!build.ok()) return LastLine(build.output);
  }
  std::vector<std::string> run = Command(engine, {"run", "--rm", "--network", "host"});
  run.insert(run.end(), engine.run_options.begin(), engine.run_options.end());
  run.insert(run.end(), {kProbeImage, "/probe"});
  const BuildTools::Result ran = tools->Run(run);
  return ran.ok() ? "" : LastLine(ran.output);
}

std::vector<ContainerEngine> Candidates(const Settings &settings) {
  std::vector<ContainerEngine> candidates;
  if (!settings.engine.empty()) {
    candidates.push_back({settings.engine, settings.run_options});
    return candidates;
  }
  for (const EngineRow &row : EngineRows()) {
    ContainerEngine engine{row.command, row.own_limits ? OwnLimits() : std::vector<std::string>()};
    engine.run_options.insert(engine.run_options.end(), settings.run_options.begin(), settings.run_options.end());
    candidates.push_back(std::move(engine));
  }
  return candidates;
}

}  // namespace

bool ContainerEngine::is_podman() const {
  return BaseName(command[0]).find("podman") != std::string::npos;
}

ContainerEngine FindContainerEngine(const Layout &workspace, BuildTools *tools) {
  const Settings settings = ReadSettings(workspace);
  const char *path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  const std::string key = Sha256Hex(BootId() + "\n" + Join(settings.engine, "\n") + "\n\n" +
                                    Join(settings.run_options, "\n") + "\n\n" + (path == nullptr ? "" : path));
  const std::string cache = workspace.Environments() + "/container_engine.json";
  if (const auto text = ReadFileIfExists(cache, 1 << 20)) {
    const Json json = Json::Parse(*text, cache);
    if (json.GetString("key", "") == key) return {json.GetStringList("command"), json.GetStringList("run_options")};
  }
  std::vector<std::string> reasons;
  for (const ContainerEngine &engine : Candidates(settings)) {
    const std::string objection = Objection(engine, tools);
    if (objection.empty()) {
      tools->Say("container engine: " + Join(engine.command, " "));
      Json json = Json::Object();
      json.Set("key", key).Set("command", engine.command).Set("run_options", engine.run_options);
      MakeDirs(workspace.Environments());
      WriteFileAtomic(cache, json.DumpPretty());
      return engine;
    }
    const std::string reason = "'" + Join(engine.command, " ") + "': " + objection;
    const bool absent = objection == "not in PATH";
    // The rows of one program that is not there are one reason.
    if (!absent || reasons.empty() || !reasons.back().ends_with(objection)) {
      reasons.push_back(absent ? "'" + engine.command[0] + "': " + objection : reason);
    }
  }
  throw Error(Status::kUnsupported, "no container engine works here: " + Join(reasons, "; ") +
                                        ". Install podman or start docker, or name one with its options in " +
                                        kEngineVariable + " (and options of its run command in " + kRunOptionsVariable +
                                        "), or use an environment without a "
                                        "base image and Dockerfile");
}

}  // namespace trainyard
