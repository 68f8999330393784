// A launcher whose ranks are started by agents (launch/agent.h). Derived classes start the agents and connect them;
// everything after that is the same. The order of exits is the order in which the agents' reports arrive. Thread rule:
// see launcher.h; there is no thread here, reports wait in the sockets.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "launch/agent_channel.h"
#include "launch/launcher.h"

namespace trainyard {

class AgentLauncher : public Launcher {
 public:
  int descriptor() const override { return epoll_.get(); }
  std::optional<RankExit> TakeExit() override;
  int32_t live_ranks() const override;
  std::string StderrTail(int32_t rank) const override;
  void SignalRanks(int signal, bool whole_group) override;
  KillReport Kill(std::chrono::milliseconds grace) override;
  std::vector<ProcessInfo> Processes() const override;

 protected:
  AgentLauncher();

  struct Share {
    int32_t node_rank = 0;
    int32_t first_local_rank = 0;
    int32_t count = 1;
    std::map<std::string, std::string> variables;  // of these ranks alone
  };
  void AddAgent(AgentChannel channel, Share share);
  bool has_agents() const { return !agents_.empty(); }
  // Tells every agent to start its ranks and waits until they run. Throws what the first one says that cannot.
  void StartRanks(const LaunchRequest &request);
  // The processes of the agents that have been told to end: waits for them a while, then ends them.
  virtual void EndAgents() = 0;
  // Something in StartRanks' wait that makes it pointless; throws.
  virtual void CheckStart() {}

 private:
  struct Agent {
    AgentChannel channel;
    Share share;
    std::set<int32_t> live;  // ranks without an exit
    std::string node;
    bool started = false, frozen = false, killed = false, lost = false;
  };
  // Handles what has arrived; waits up to `timeout_ms` for something.
  void Pump(int timeout_ms);
  bool PumpUntil(const std::function<bool(const Agent &)> &done, std::chrono::milliseconds patience);
  void Handle(Agent *agent, const Json &message);
  void Lose(Agent *agent);
  void SendAll(const Json &message);

  UniqueFd epoll_;
  std::string run_id_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::deque<RankExit> exits_;
  std::map<int32_t, std::string> tails_;  // of ranks that have ended
  std::string failure_;                   // why ranks cannot start
  int64_t next_order_ = 0;
  bool killing_ = false;
  KillReport report_;
};

}  // namespace trainyard
