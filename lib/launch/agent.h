// An agent starts some ranks of a run for a launcher in another process: one per simulated node, one per MPI process.
// It reports every exit, with the evidence, before anything else is ended, and stays until it is told to go: whoever
// started it (mpirun) learns of a failure last. When the launcher goes, it ends its ranks and goes too.
//
// Messages to the agent:
//   {"type":"start","request":{...},"node_rank":n,"first_local_rank":n,"count":n,"variables":{...}}
//   {"type":"signal","signal":n,"whole_group":bool}   {"type":"freeze"}   {"type":"kill","grace_ms":n}
//   {"type":"end"}
// From the agent (the first two are the answers to "start", the others to the messages of their names):
//   {"type":"started"}   {"type":"failed","message":"..."}
//   {"type":"exit", and what RankExitToJson says}
//   {"type":"frozen"}   {"type":"killed","ended":n,"left":n}
#pragma once

#include "launch/agent_channel.h"
#include "launch/launcher.h"
#include "util/json.h"

namespace trainyard {

Json RankExitToJson(const RankExit &exit);
RankExit RankExitFromJson(const Json &json);
// What an agent needs of it: all but `runner`, `mpi`, `system_log_directory` and `canceled`.
Json LaunchRequestToJson(const LaunchRequest &request);
LaunchRequest LaunchRequestFromJson(const Json &json);

// Serves a launcher until it says "end" or goes; called by the main thread. Returns the exit status of the process.
int RunAgent(AgentChannel *channel);

// `trainyard-runner node <name>`: the agent of a simulated node; its channel is standard input.
int RunNodeAgent();

}  // namespace trainyard
