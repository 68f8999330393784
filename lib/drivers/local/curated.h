// Environments that come with the library: <runtime directory>/environments/<name>.json, read on first need; and the
// names under which users of Azure ML know such environments, each answered with the nearest of ours. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/environment.h"

namespace trainyard {

std::vector<std::string> CuratedNames();

// The environment of that name, or the one that stands in for an old name; nothing when it is neither. `warning` is set
// when it stands in. Error kRuntime when the files are not where they should be.
std::optional<Environment> FindCurated(std::string_view name, std::string *warning);

// The name of ours that stands in for a name of Azure ML; empty when there is none.
std::string CuratedForOldName(std::string_view name);

}  // namespace trainyard
