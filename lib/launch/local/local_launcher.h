// Ranks as child processes of this one. Each rank is a session of its own; standard input is /dev/null; standard output
// is the rank's log file itself, so that no supervisor stands between a print and the file; standard error comes
// through a pipe, is appended to the same file at once, and its last lines are kept as evidence.
//
// A thread of the launcher empties the pipes and collects the exits, so that neither waits for whatever else the
// supervisor is doing. Thread rule: see launcher.h.
#pragma once

#include <memory>

#include "launch/launcher.h"

namespace trainyard {

std::unique_ptr<Launcher> MakeLocalLauncher();

}  // namespace trainyard
