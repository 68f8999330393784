// The records as JSON, as the C API, the command line and the files show them. Times that are not known are null.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "core/model.h"
#include "core/run.h"
#include "util/json.h"

namespace trainyard {

Json RunToJson(const RunRecord &run);
Json RunErrorToJson(const RunError &error);
Json ModelToJson(const ModelRecord &model);

// {"experiment","states":[names],"kinds":[names],"tag":"k" or {"k":"v",...},"property":...,"parent","ancestor",
// "include_children","created_from_ms","created_to_ms"}; empty text = every run without a parent.
RunFilter RunFilterFromJson(std::string_view text);
// {"description","framework","framework_version","tags","properties"}; empty text = nothing.
ModelRecord ModelMetadataFromJson(std::string_view text);

std::string_view RunKindName(RunKind kind);

}  // namespace trainyard
