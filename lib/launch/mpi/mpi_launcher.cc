#include "launch/mpi/mpi_launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <map>

#include "launch/agent.h"
#include "launch/agent_launcher.h"
#include "launch/local/local_launcher.h"
#include "launch/local/rank_process.h"
#include "launch/mpi/agent_address.h"
#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/process.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int kLookEveryMs = 200;
constexpr int64_t kConnectPatienceMs = 30000;
constexpr int64_t kEndPatienceMs = 5000;
constexpr int64_t kTermPatienceMs = 3000;
constexpr size_t kReasonBytes = 600;
constexpr uint32_t kHelloBytes = 4096;

// What mpirun has printed, as one line: its messages are framed in dashes and wrapped.
std::string ReasonIn(const std::string &log) {
  std::ifstream file(log);
  std::string reason;
  for (std::string line; std::getline(file, line);) {
    const std::string_view text = Trim(line);
    if (text.empty() || text.find_first_not_of('-') == std::string_view::npos) continue;
    reason += (reason.empty() ? "" : " ") + std::string(text);
  }
  return SanitizeUtf8(TruncateUtf8(reason, kReasonBytes));
}

class MpiLauncher : public AgentLauncher {
 public:
  ~MpiLauncher() override {
    if (mpirun_ > 0) AgentLauncher::Kill(std::chrono::milliseconds(0));
  }

  void Start(const LaunchRequest &request) override {
    AgentListener listener(!request.mpi.hostfile.empty());
    const std::string token = RandomBase32(26);
    StartMpirun(request, listener.addresses(), token);
    ConnectAgents(request, &listener, token);
    StartRanks(request);
  }

 private:
  static bool IsSimulated(const LaunchRequest &request) { return request.mpi.hostfile.empty(); }

  static std::vector<std::string> Mpirun(const LaunchRequest &request) {
    const int32_t world_size = WorldSize(request);
    const int32_t per_node = IsSimulated(request) ? world_size : request.nodes[0].process_count;
    // Ranks are numbered host by host. They are not bound to cores: a training process has many threads.
    std::vector<std::string> words = {"mpirun",
                                      "-np",
                                      std::to_string(world_size),
                                      "--map-by",
                                      "ppr:" + std::to_string(per_node) + ":node:OVERSUBSCRIBE",
                                      "--rank-by",
                                      "slot",
                                      "--bind-to",
                                      "none"};
    const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
    if (!request.mpi.hostfile.empty()) add({"--hostfile", request.mpi.hostfile});
    if (!request.mpi.rsh_agent.empty()) add({"--mca", "plm_rsh_agent", request.mpi.rsh_agent});
    for (const char *name : {kAgentAddressesVariable, kAgentTokenVariable}) add({"-x", name});
    words.insert(words.end(), request.mpi.options.begin(), request.mpi.options.end());
    // Other hosts have the same program at the same place.
    add({request.runner == "/proc/self/exe" ? ReadLink("/proc/self/exe") : request.runner, "rank"});
    return words;
  }

  static std::string ReadLink(const char *path) {
    std::string target(4096, '\0');
    const ssize_t size = readlink(path, target.data(), target.size());
    if (size < 0) throw Error::FromErrno(errno, "read", path);
    target.resize(static_cast<size_t>(size));
    return target;
  }

  void StartMpirun(const LaunchRequest &request, const std::string &addresses, const std::string &token) {
    log_ = JoinPath(request.system_log_directory.empty() ? request.log_directory : request.system_log_directory,
                    "mpirun.log");
    const UniqueFd log = OpenFile(log_, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    std::map<std::string, std::string> variables = {{kAgentAddressesVariable, addresses},
                                                    {kAgentTokenVariable, token},
                                                    {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                                    {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
    // The job's own variables reach the ranks over the connection; mpirun's settings are for mpirun too.
    for (const auto &[name, value] : request.variables) {
      if (name.starts_with("OMPI_MCA_")) variables.emplace(name, value);
    }
    RankCommand command;
    command.command = Mpirun(request);
    command.working_directory = "/";
    command.environment = ChildEnvironment(variables, request.unset);
    command.log_fd = log.get();
    command.stderr_fd = log.get();
    mpirun_ = StartRankProcess(command);
  }

  // A connection says whose it is before it is believed.
  void ConnectAgents(const LaunchRequest &request, AgentListener *listener, const std::string &token) {
    std::vector<AgentChannel> strangers;
    std::map<int32_t, AgentChannel> agents;
    const auto world_size = static_cast<size_t>(WorldSize(request));
    while (agents.size() < world_size) {
      std::vector<pollfd> entries = {{listener->descriptor(), POLLIN, 0}};
      for (const AgentChannel &stranger : strangers) entries.push_back({stranger.descriptor(), POLLIN, 0});
      poll(entries.data(), entries.size(), kLookEveryMs);
      for (UniqueFd fd = listener->Accept(); fd.valid(); fd = listener->Accept()) {
        strangers.emplace_back(std::move(fd), kHelloBytes);
      }
      for (AgentChannel &stranger : strangers) {
        const auto hello = stranger.Receive();
        if (!hello || !IsOurs(*hello, token)) continue;
        CheckPlace(request, *hello);
        stranger.set_largest(AgentChannel::kLargest);
        agents.emplace(static_cast<int32_t>(hello->GetInt64("rank")), std::move(stranger));
      }
      std::erase_if(strangers,
                    [](const AgentChannel &stranger) { return stranger.descriptor() < 0 || stranger.closed(); });
      CheckStart();
      if (request.canceled && request.canceled()) throw Error(Status::kCanceled, "canceled while mpirun started");
    }
    for (auto &[rank, channel] : agents) AddAgent(std::move(channel), ShareOf(request, rank));
  }

  static bool IsOurs(const Json &hello, const std::string &token) {
    const auto given = hello.is_object() ? hello.Find("token") : std::nullopt;
    return given && given->is_string() && given->AsString() == token;
  }

  static Share ShareOf(const LaunchRequest &request, int32_t rank) {
    const int32_t per_node = request.nodes[0].process_count;
    const std::string local_rank = std::to_string(rank % per_node);
    Share share;
    share.node_rank = rank / per_node;
    share.first_local_rank = rank % per_node;
    share.variables = {{"OMPI_COMM_WORLD_LOCAL_RANK", local_rank},
                       {"OMPI_COMM_WORLD_NODE_RANK", local_rank},
                       {"OMPI_COMM_WORLD_LOCAL_SIZE", std::to_string(per_node)}};
    return share;
  }

  // Whether mpirun spread the ranks as the job says.
  static void CheckPlace(const LaunchRequest &request, const Json &hello) {
    const int64_t rank = hello.GetInt64("rank");
    const int64_t local_rank = hello.GetInt64("local_rank");
    const int32_t per_node = IsSimulated(request) ? WorldSize(request) : request.nodes[0].process_count;
    if (rank >= 0 && rank < WorldSize(request) && local_rank == rank % per_node) return;
    throw Error(Status::kRuntime, "mpirun made rank " + std::to_string(rank) + " the process " +
                                      std::to_string(local_rank) + " of " + hello.GetString("host", "") +
                                      "; the job has " + std::to_string(per_node) +
                                      " processes on each host: check the hostfile and mpirun's options");
  }

  void CheckStart() override {
    int status = 0;
    if (mpirun_ <= 0 || waitpid(mpirun_, &status, WNOHANG) != mpirun_) return;
    mpirun_ = 0;
    const std::string how =
        WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status)) : SignalName(WTERMSIG(status));
    throw Error(Status::kRuntime, "mpirun ended with " + how + " before the ranks ran: " + ReasonIn(log_));
  }

  // True when it is gone.
  bool AwaitMpirun(int64_t patience_ms) {
    const int64_t deadline = MonotonicMs() + patience_ms;
    while (mpirun_ > 0 && waitpid(mpirun_, nullptr, WNOHANG) == 0) {
      if (MonotonicMs() >= deadline) return false;
      usleep(500);
    }
    mpirun_ = 0;
    return true;
  }

  void EndAgents() override {
    // Agents that were told to go take mpirun along; without agents nobody tells it.
    if (!has_agents() || !AwaitMpirun(kEndPatienceMs)) {
      if (mpirun_ > 0) kill(mpirun_, SIGTERM);
      if (!AwaitMpirun(kTermPatienceMs)) kill(mpirun_, SIGKILL);
      AwaitMpirun(kTermPatienceMs);
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) {  // orphans that came to this process
    }
  }

  pid_t mpirun_ = 0;
  std::string log_;
};

int32_t NumberFromMpi(const char *name) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  const auto number = text == nullptr ? std::nullopt : ParseInt64(text);
  if (!number) throw Error(Status::kRuntime, std::string(name) + " is not set: this program is started by mpirun");
  return static_cast<int32_t>(*number);
}

std::string TakeVariable(const char *name) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  std::string value = text == nullptr ? "" : text;
  unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value;
}

}  // namespace

std::unique_ptr<Launcher> MakeMpiLauncher() {
  return std::make_unique<MpiLauncher>();
}

int RunMpiRank() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // without mpirun there is no MPI
  const std::string token = TakeVariable(kAgentTokenVariable);
  AgentChannel channel(ConnectToLauncher(TakeVariable(kAgentAddressesVariable), kConnectPatienceMs));
  Json hello = AgentMessage("hello");
  hello.Set("token", token)
      .Set("rank", NumberFromMpi("OMPI_COMM_WORLD_RANK"))
      .Set("local_rank", NumberFromMpi("OMPI_COMM_WORLD_LOCAL_RANK"))
      .Set("host", HostName());
  channel.Send(hello);
  return RunAgent(&channel);
}

}  // namespace trainyard
