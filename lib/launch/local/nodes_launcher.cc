#include "launch/local/nodes_launcher.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "launch/agent_launcher.h"
#include "launch/local/local_launcher.h"
#include "launch/local/rank_process.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/process.h"

namespace trainyard {
namespace {

constexpr int64_t kEndPatienceMs = 2000;

class NodesLauncher : public AgentLauncher {
 public:
  ~NodesLauncher() override {
    if (!nodes_.empty()) AgentLauncher::Kill(std::chrono::milliseconds(0));
  }

  void Start(const LaunchRequest &request) override {
    for (size_t node = 0; node < request.nodes.size(); ++node) StartNode(request, static_cast<int32_t>(node));
    StartRanks(request);
  }

 private:
  void StartNode(const LaunchRequest &request, int32_t node_rank) {
    const LaunchNode &node = request.nodes[static_cast<size_t>(node_rank)];
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      throw Error::FromErrno(errno, "make", "a channel to " + node.name);
    }
    AgentChannel channel{UniqueFd(ends[0])};
    const UniqueFd agent_end(ends[1]);
    RankCommand command;
    command.command = {request.runner, "node", node.name};
    command.working_directory = "/";
    command.environment = ChildEnvironment({}, request.unset);  // the job's variables are for ranks
    command.input_fd = agent_end.get();
    command.log_fd = STDOUT_FILENO;
    command.stderr_fd = STDERR_FILENO;
    nodes_.push_back(StartRankProcess(command));
    Share share;
    share.node_rank = node_rank;
    share.count = node.process_count;
    AddAgent(std::move(channel), std::move(share));
  }

  void EndAgents() override {
    const int64_t deadline = MonotonicMs() + kEndPatienceMs;
    bool killed = false;
    while (!nodes_.empty()) {
      std::erase_if(nodes_, [](pid_t node) { return waitpid(node, nullptr, WNOHANG) != 0; });
      if (nodes_.empty()) break;
      if (!killed && MonotonicMs() >= deadline) {
        for (const pid_t node : nodes_) kill(node, SIGKILL);
        killed = true;
      }
      usleep(500);
    }
    // Orphans of lost nodes came to this process.
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }

  std::vector<pid_t> nodes_;
};

}  // namespace

std::unique_ptr<Launcher> MakeNodesLauncher() {
  return std::make_unique<NodesLauncher>();
}

}  // namespace trainyard
