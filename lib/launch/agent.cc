#include "launch/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "launch/local/local_launcher.h"
#include "launch/local/rank_process.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

// When the launcher has gone nobody waits for the ranks.
constexpr std::chrono::seconds kOrphanGrace{2};

int32_t Int32(const Json &json, std::string_view key) {
  return static_cast<int32_t>(json.GetInt64(key));
}

class Agent {
 public:
  explicit Agent(AgentChannel *channel) : channel_(channel) {}

  int Run() {
    while (!ended_) {
      pollfd entries[2] = {{channel_->descriptor(), POLLIN, 0}, {ranks_ ? ranks_->descriptor() : -1, POLLIN, 0}};
      if (poll(entries, 2, -1) < 0 && errno != EINTR) throw Error::FromErrno(errno, "wait for", "the launcher");
      ReportExits();
      while (!ended_) {
        const auto message = channel_->Receive();
        if (!message) break;
        Handle(*message);
      }
      if (channel_->closed()) {
        if (ranks_) ranks_->Kill(kOrphanGrace);
        return 1;
      }
    }
    return 0;
  }

 private:
  void Handle(const Json &message) {
    const std::string type = message.GetString("type");
    if (type == "start") return Start(message);
    if (type == "end") {
      ended_ = true;
      return;
    }
    if (type == "signal" && ranks_) ranks_->SignalRanks(Int32(message, "signal"), message.GetBool("whole_group"));
    if (type == "freeze") {
      if (ranks_) ranks_->Freeze();
      ReportExits();
      channel_->Send(AgentMessage("frozen"));
    }
    if (type == "kill") Kill(std::chrono::milliseconds(message.GetInt64("grace_ms")));
  }

  void Start(const Json &message) {
    try {
      LocalLauncher::Share share;
      share.node_rank = Int32(message, "node_rank");
      share.first_local_rank = Int32(message, "first_local_rank");
      share.count = Int32(message, "count");
      share.variables = message.GetStringMap("variables");
      ranks_ = std::make_unique<LocalLauncher>(std::move(share));
      ranks_->Start(LaunchRequestFromJson(message.Get("request")));
      channel_->Send(AgentMessage("started"));
    } catch (const Error &error) {
      channel_->Send(AgentMessage("failed").Set("message", SanitizeUtf8(error.what())));
    }
  }

  void Kill(std::chrono::milliseconds grace) {
    KillReport report;
    if (ranks_) report = ranks_->Kill(grace);
    ReportExits();
    channel_->Send(AgentMessage("killed").Set("ended", report.ended).Set("left", report.left.size()));
  }

  void ReportExits() {
    while (ranks_) {
      const auto exit = ranks_->TakeExit();
      if (!exit) return;
      channel_->Send(RankExitToJson(*exit).Set("type", "exit"));
    }
  }

  AgentChannel *channel_;
  std::unique_ptr<LocalLauncher> ranks_;
  bool ended_ = false;
};

}  // namespace

Json RankExitToJson(const RankExit &exit) {
  Json json = Json::Object();
  json.Set("rank", exit.rank).Set("node", exit.node).Set("order", exit.order);
  if (exit.exit_code) json.Set("exit_code", *exit.exit_code);
  json.Set("signal", exit.signal)
      .Set("after_kill", exit.after_kill)
      .Set("out_of_memory", exit.out_of_memory)
      .Set("node_lost", exit.node_lost)
      .Set("stderr_tail", SanitizeUtf8(exit.stderr_tail));
  return json;
}

RankExit RankExitFromJson(const Json &json) {
  RankExit exit;
  exit.rank = Int32(json, "rank");
  exit.node = json.GetString("node");
  exit.order = json.GetInt64("order");
  if (json.Has("exit_code")) exit.exit_code = Int32(json, "exit_code");
  exit.signal = Int32(json, "signal");
  exit.after_kill = json.GetBool("after_kill");
  exit.out_of_memory = json.GetBool("out_of_memory");
  exit.node_lost = json.GetBool("node_lost");
  exit.stderr_tail = json.GetString("stderr_tail");
  return exit;
}

Json LaunchRequestToJson(const LaunchRequest &request) {
  Json nodes = Json::Array();
  for (const LaunchNode &node : request.nodes) {
    Json json = Json::Object();
    json.Set("name", node.name).Set("address", node.address).Set("process_count", node.process_count);
    json.Set("variables", node.variables).Set("wrapper", node.wrapper);
    nodes.Append(json);
  }
  Json json = Json::Object();
  json.Set("run_id", request.run_id)
      .Set("nodes", nodes)
      .Set("command", request.command)
      .Set("expand_from", std::min(request.expand_from, request.command.size()))
      .Set("working_directory", request.working_directory)
      .Set("variables", request.variables)
      .Set("unset", request.unset)
      .Set("log_directory", request.log_directory)
      .Set("master_address", request.master_address)
      .Set("master_port", request.master_port)
      .Set("tail_lines", request.tail_lines);
  return json;
}

LaunchRequest LaunchRequestFromJson(const Json &json) {
  LaunchRequest request;
  request.run_id = json.GetString("run_id");
  for (const Json &node : json.Get("nodes").Items()) {
    request.nodes.push_back({node.GetString("name"), node.GetString("address"), Int32(node, "process_count"),
                             node.GetStringMap("variables"), node.GetStringList("wrapper")});
  }
  request.command = json.GetStringList("command");
  request.expand_from = json.Get("expand_from").AsUint64();
  request.working_directory = json.GetString("working_directory");
  request.variables = json.GetStringMap("variables");
  request.unset = json.GetStringList("unset");
  request.log_directory = json.GetString("log_directory");
  request.master_address = json.GetString("master_address");
  request.master_port = Int32(json, "master_port");
  request.tail_lines = json.Get("tail_lines").AsUint64();
  return request;
}

int RunAgent(AgentChannel *channel) {
  RaiseFileLimit();
  // Only the launcher ends it: what is sent to a whole group or by somebody in between must not cost the evidence.
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2}) signal(number, SIG_IGN);
  return Agent(channel).Run();
}

int RunNodeAgent() {
  UniqueFd socket(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!socket.valid()) throw Error::FromErrno(errno, "take over", "standard input");
  const UniqueFd null_fd = OpenFile("/dev/null", O_RDONLY);
  dup2(null_fd.get(), STDIN_FILENO);
  AgentChannel channel(std::move(socket));
  return RunAgent(&channel);
}

}  // namespace trainyard
