// Several nodes on this machine, to try out what runs on several machines: each is a process of its own
// (`trainyard-runner node <name>`) that supervises its ranks; kill it, and the node is lost with all that ran there.
// Thread rule: see launcher.h.
#pragma once

#include <memory>

#include "launch/launcher.h"

namespace trainyard {

std::unique_ptr<Launcher> MakeNodesLauncher();

}  // namespace trainyard
