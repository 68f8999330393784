// "$NAME" and "${NAME}" in the arguments of a rank, from its own environment, when it starts. Every launcher uses this,
// so that `--node_rank=$NODE_RANK` means the same everywhere. Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// The value of a variable in a list of "NAME=value"; nullptr when it is not there. Points into the list.
const char *FindVariable(const std::vector<std::string> &environment, std::string_view name);

// Names are letters, digits and '_', and do not start with a digit. What is no name, a name that is not set, and "$$"
// stay as written. Values are not expanded again.
std::string ExpandVariables(std::string_view text, const std::vector<std::string> &environment);
// The same for each word from the index `from` on.
std::vector<std::string> ExpandCommand(std::vector<std::string> command, size_t from,
                                       const std::vector<std::string> &environment);

}  // namespace trainyard
