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
Json ModelToJson(const ModelRecord &model, bool with_files = true);
// {"run","experiment","root","parent","kind","snapshot","environment","environment_definition","inputs","data","code"}:
// where a model of this run comes from; what its job does not say is null.
Json LineageOf(const RunRecord &run);

// {"experiment","states":[names],"kinds":[names],"tag":"k" or {"k":"v",...},"property":...,"parent","ancestor",
// "include_children","created_from_ms","created_to_ms"}; empty text = every run without a parent.
RunFilter RunFilterFromJson(std::string_view text);
// {"description","framework","framework_version","tags","properties","datasets","include_checkpoints"}; empty text =
// nothing.
ModelRequest ModelRequestFromJson(std::string_view text);
// {"name","run","framework","tag","property","latest"}; empty text = every version of every model.
ModelFilter ModelFilterFromJson(std::string_view text);

std::string_view RunKindName(RunKind kind);

}  // namespace trainyard
