// The description of what to run. Immutable once submitted. Thread rule: a value.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/distribution.h"
#include "core/environment.h"
#include "core/job_input.h"
#include "core/resources.h"
#include "core/run.h"
#include "core/snapshot_limits.h"
#include "core/train_config.h"
#include "util/json.h"

namespace trainyard {

struct Retries {
  int32_t maximum = 0;                       // relaunches after a failure
  std::vector<int32_t> never_on_exit_codes;  // these fail at once
};

// Of a tag or property; throws Error::InvalidArgument unless the key has 1 to 100 bytes and the value at most 1000.
void CheckTag(std::string_view key, std::string_view value);

// Throws Error::InvalidArgument unless a run `run_id` (empty = made later) may have that parent, as far as names tell.
void CheckParent(std::string_view run_id, std::string_view parent_id);

// What runs a script, by the end of its name.
enum class ScriptLanguage {
  kPython,   // .py
  kShell,    // .sh: /bin/sh
  kProgram,  // anything else: the file itself, which must be executable
};
ScriptLanguage LanguageOf(std::string_view script);

struct Job {
  static constexpr int64_t kSchemaVersion = 1;

  RunKind kind = RunKind::kCommand;  // not kHost
  std::string run_id;                // chosen by the caller; empty = made at submit
  std::string display_name;
  std::string parent_id;             // the run that this one is a child of; empty = none
  std::string source_directory;      // copied into the run; empty = the run starts in an empty directory
  std::vector<std::string> command;  // argv; empty for kTrain or when `shell_command` is set
  std::string shell_command;         // one line for /bin/sh -c
  std::string script;                // kScript: a file of the source directory, relative to it
  std::vector<std::pair<std::string, std::string>> script_parameters;  // in order; an empty value: the bare name
  std::vector<std::string> arguments;  // appended to the command, or after the script's parameters
  std::map<std::string, std::string> variables;
  std::map<std::string, std::string> secrets;         // values never leave memory: JSON holds their names only
  std::string environment = "system";                 // "name", "name:version"
  std::optional<Environment> environment_definition;  // what the name stands for; there at the latest when submitted
  std::string compute = "local";
  Resources resources;
  Retries retries;
  std::optional<Distribution> distribution;  // unset = one process
  std::optional<TrainConfig> train;
  SnapshotLimits snapshot_limits;  // of the source directory
  JobInputs inputs;
  std::map<std::string, std::string> tags;

  // How many ranks are started.
  int32_t RankCount() const { return distribution ? distribution->process_count : 1; }
  // Whether it is a training that has to have GPUs, as its device or the GPUs that are asked for say. One with neither
  // (device auto) takes what is there.
  bool TrainsOnGpus() const;

  // Throws Error::InvalidArgument: what is missing or does not fit together, and which call sets it.
  void Check() const;

  // What a rank executes, before its environment is known: argv[0] is `interpreter` for a script that needs one (see
  // ScriptLanguage). Empty for a training job.
  std::vector<std::string> Command(const std::string &interpreter) const;
  // The first word of it in which the rank's variables are expanded: a shell does its own line.
  size_t FirstExpandedWord() const;

  // Each text of the job that may name an input or a datastore: command, parameters, arguments, variables.
  void ForEachText(const std::function<void(std::string *)> &work);

  // job.json. `Hash` is the SHA-256 of the canonical form without run_id.
  Json ToJson() const;
  static Job FromJson(const Json &json);
  static Job Parse(std::string_view text, std::string_view source_name);
  std::string Hash() const;

 private:
  void CheckEnvironment() const;
  void CheckInputs() const;
};

}  // namespace trainyard
