// The ways to make an environment, in one table: the first row that is wanted is taken. Each throws Error
// kInvalidArgument or kUnsupported when it cannot be made here, saying what to do, and kRuntime with the installer's
// own reason. Thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/environment.h"
#include "runner/environment/build_tools.h"
#include "runner/environment/definition.h"
#include "runner/environment/prepared.h"
#include "store/layout.h"

namespace trainyard {

struct MakeRequest {
  const Environment &environment;
  const Definition &definition;
  const EnvironmentLayout &layout;  // of this content hash
  const Layout &workspace;
  BuildTools &tools;
};

struct KindRow {
  std::string_view name;
  bool (*wanted)(const Environment &environment, const Definition &definition, BuildTools *tools);
  // What can be known before anything is made.
  void (*check)(const MakeRequest &request);
  // Makes it in the layout's directory; answers ready.json: {"python", "python_version", "path", "variables", "image",
  // "packages"}. Null: there is nothing to make and nothing to keep.
  Json (*make)(const MakeRequest &request);
  // ready.json as ranks use it. False when what it names is not there any more: it is made again.
  bool (*use)(const MakeRequest &request, const Json &ready, PreparedEnvironment *prepared);
};
std::span<const KindRow> Kinds();
const KindRow &KindOf(const Environment &environment, const Definition &definition, BuildTools *tools);

// The rows' functions.
void CheckVenv(const MakeRequest &request);
Json MakeVenv(const MakeRequest &request);
void CheckConda(const MakeRequest &request);
Json MakeConda(const MakeRequest &request);
void CheckContainer(const MakeRequest &request);
Json MakeContainer(const MakeRequest &request);
bool UseContainer(const MakeRequest &request, const Json &ready, PreparedEnvironment *prepared);
void CheckInterpreter(const MakeRequest &request);

// [{"name", "version"}] as pip lists them; empty when it cannot.
Json PipPackages(BuildTools *tools, const std::vector<std::string> &python);
// pip's own reason out of what it printed, with the nearest version where it lists them.
std::string PipReason(std::string_view output);
// One of micromamba, mamba, conda; empty = none is in PATH.
std::string FindCondaTool();

}  // namespace trainyard
