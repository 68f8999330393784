#include "launch/agent_launcher.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "launch/agent.h"
#include "util/clock.h"
#include "util/error.h"

namespace trainyard {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFreezePatience{2000};
// On top of the grace, for agents that find processes they cannot end.
constexpr milliseconds kKillPatience{15000};
constexpr int kStartPollMs = 200;

}  // namespace

AgentLauncher::AgentLauncher() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.valid()) throw Error::FromErrno(errno, "make", "an event descriptor");
  // What a lost agent leaves behind becomes a child of this process: it stays in sight.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void AgentLauncher::AddAgent(AgentChannel channel, Share share) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = agents_.size();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, channel.descriptor(), &event) != 0) {
    throw Error::FromErrno(errno, "watch", "an agent");
  }
  agents_.push_back(
      std::make_unique<Agent>(Agent{std::move(channel), std::move(share), {}, "", false, false, false, false}));
}

void AgentLauncher::StartRanks(const LaunchRequest &request) {
  run_id_ = request.run_id;
  const Json json = LaunchRequestToJson(request);
  for (const auto &agent : agents_) {
    const Share &share = agent->share;
    const int32_t first = FirstRank(request, share.node_rank) + share.first_local_rank;
    for (int32_t i = 0; i < share.count; ++i) agent->live.insert(first + i);
    agent->node = request.nodes[static_cast<size_t>(share.node_rank)].name;
    Json message = AgentMessage("start");
    message.Set("request", json)
        .Set("node_rank", share.node_rank)
        .Set("first_local_rank", share.first_local_rank)
        .Set("count", share.count)
        .Set("variables", share.variables);
    agent->channel.Send(message);
  }
  const auto ready = [](const auto &agent) { return agent->started; };
  while (!std::all_of(agents_.begin(), agents_.end(), ready)) {
    Pump(kStartPollMs);
    if (!failure_.empty()) throw Error(Status::kRuntime, failure_);
    CheckStart();
    if (request.canceled && request.canceled()) throw Error(Status::kCanceled, "canceled while the ranks were started");
  }
}

std::optional<RankExit> AgentLauncher::TakeExit() {
  Pump(0);
  if (exits_.empty()) return std::nullopt;
  RankExit exit = std::move(exits_.front());
  exits_.pop_front();
  return exit;
}

int32_t AgentLauncher::live_ranks() const {
  size_t live = 0;
  for (const auto &agent : agents_) live += agent->live.size();
  return static_cast<int32_t>(live);
}

std::string AgentLauncher::StderrTail(int32_t rank) const {
  const auto tail = tails_.find(rank);
  return tail == tails_.end() ? "" : tail->second;
}

void AgentLauncher::SignalRanks(int signal, bool whole_group) {
  SendAll(AgentMessage("signal").Set("signal", signal).Set("whole_group", whole_group));
}

std::vector<ProcessInfo> AgentLauncher::Processes() const {
  return FindDescendants(getpid(), ListProcesses());
}

KillReport AgentLauncher::Kill(milliseconds grace) {
  // First every agent marks what happens from now on as our doing; only then does any of them end something.
  killing_ = true;
  report_ = KillReport();
  SendAll(AgentMessage("freeze"));
  PumpUntil([](const Agent &agent) { return agent.frozen; }, kFreezePatience);
  SendAll(AgentMessage("kill").Set("grace_ms", grace.count()));
  PumpUntil([](const Agent &agent) { return agent.killed; }, grace + kKillPatience);
  SendAll(AgentMessage("end"));
  EndAgents();
  for (const auto &agent : agents_) Lose(agent.get());
  // What is left belongs to nobody's agent: of a lost node, or an agent that did not answer.
  const ProcessTreeQuery query = RunTreeQuery(run_id_, getpid());
  const KillReport rest = KillProcesses([&] { return FindProcessTree(query); }, milliseconds(500));
  report_.ended += rest.ended;
  report_.left.insert(report_.left.end(), rest.left.begin(), rest.left.end());
  return report_;
}

void AgentLauncher::Pump(int timeout_ms) {
  std::array<epoll_event, 16> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  // In the order in which they became readable.
  for (int i = 0; i < count; ++i) {
    Agent &agent = *agents_[events[static_cast<size_t>(i)].data.u64];
    while (const auto message = agent.channel.Receive()) Handle(&agent, *message);
    if (agent.channel.closed()) Lose(&agent);
  }
}

bool AgentLauncher::PumpUntil(const std::function<bool(const Agent &)> &done, milliseconds patience) {
  const int64_t deadline = MonotonicMs() + patience.count();
  for (;;) {
    const bool all =
        std::all_of(agents_.begin(), agents_.end(), [&](const auto &agent) { return agent->lost || done(*agent); });
    const int64_t left = deadline - MonotonicMs();
    if (all || left <= 0) return all;
    Pump(static_cast<int>(left));
  }
}

void AgentLauncher::Handle(Agent *agent, const Json &message) {
  const std::string type = message.GetString("type");
  if (type == "started") agent->started = true;
  if (type == "failed" && failure_.empty()) failure_ = agent->node + ": " + message.GetString("message");
  if (type == "frozen") agent->frozen = true;
  if (type == "killed") {
    agent->killed = true;
    report_.ended += message.GetInt64("ended");
    report_.left.resize(report_.left.size() + static_cast<size_t>(message.GetInt64("left")));
  }
  if (type != "exit") return;
  RankExit exit = RankExitFromJson(message);
  if (agent->live.erase(exit.rank) == 0) return;
  exit.order = next_order_++;
  tails_[exit.rank] = exit.stderr_tail;
  exits_.push_back(std::move(exit));
}

// The agent is gone, and its ranks with it: they die with the thread that started them.
void AgentLauncher::Lose(Agent *agent) {
  if (agent->lost) return;
  agent->lost = true;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, agent->channel.descriptor(), nullptr);
  if (!agent->started && failure_.empty())
    failure_ = "the supervisor of " + agent->node + " ended before its ranks ran";
  for (const int32_t rank : agent->live) {
    RankExit exit;
    exit.rank = rank;
    exit.node = agent->node;
    exit.order = next_order_++;
    exit.signal = SIGKILL;
    exit.node_lost = true;
    exit.after_kill = killing_;
    exits_.push_back(std::move(exit));
  }
  agent->live.clear();
}

void AgentLauncher::SendAll(const Json &message) {
  for (const auto &agent : agents_) {
    if (!agent->lost) agent->channel.Send(message);
  }
}

}  // namespace trainyard
