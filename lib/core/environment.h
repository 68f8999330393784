// The software a job runs in: a base image or an interpreter, conda packages, pip packages, variables. The parts
// compose: an image with conda and pip packages on top is one environment. Named and versioned when registered, and
// made once per content hash (lib/runner/environment). Thread rule: a value.
//
// The content hash (a published recipe, so that anybody can compute it) is the SHA-256, in lower-case hexadecimal, of
// the canonical JSON (RFC 8785) of this object, with every empty part left out:
//   {"recipe": "trainyard-environment-1",
//    "base_image", "dockerfile",          the Dockerfile with CR LF as LF
//    "conda": {"file",                    lines without blanks at their end, without empty and comment lines, and
//                                         without the top-level lines "name:" and "prefix:", joined by LF
//              "packages",                sorted
//              "channels"},               in their order, which is their priority
//    "pip",                               lines of the requirements and the packages: trimmed, without comments and
//                                         empty ones, sorted, each once
//    "framework": {"name", "version"},
//    "interpreter"}
// Name, version, variables, registry credentials, shared memory and container arguments are not in it: they change how
// ranks are started, not what is installed.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "util/json.h"

namespace trainyard {

struct RegistryCredentials {
  std::string address, username;
  std::string password;  // never leaves memory: neither JSON nor files hold it
};

struct Environment {
  std::string name;
  std::string version;  // given when it is registered; empty before

  std::string base_image;  // "default": an image with Python, for GPUs when the job asks for some
  std::string dockerfile;  // text; without a FROM of its own it continues the base image
  RegistryCredentials registry;
  std::string shm_size;                          // of containers: "2g"; empty = 2g
  std::vector<std::string> container_arguments;  // of the engine's run command

  std::string interpreter;  // a Python that is used as it is; in a container: the one in it that packages are for

  std::string conda_file;                                   // text, YAML
  std::vector<std::string> conda_packages, conda_channels;  // on top of the file
  std::string pip_requirements;                             // text
  std::vector<std::string> pip_packages;                    // on top of the requirements
  std::string framework, framework_version;                 // see Frameworks()
  std::map<std::string, std::string> variables;             // of the ranks; the job's own win

  bool curated = false;  // came with the library: must be cloned under a new name to be changed. Not in JSON

  // Nothing but variables: the ranks run with what this machine has.
  bool IsSystem() const;
  bool WantsContainer() const { return !base_image.empty() || !dockerfile.empty(); }
  // Requirements and packages as the recipe above has them, but in their order.
  std::vector<std::string> PipLines() const;

  // Throws Error::InvalidArgument: what does not fit together, and which call sets it.
  void Check() const;
  // Throws Error::InvalidArgument: a user and password, a token or a signature in what the parts say of where things
  // come from. All of it is kept in the workspace, in logs and in records. "${NAME}" in the place of one is fine.
  void CheckCredentials() const;
  std::string ContentHash() const;

  Json ToJson() const;
  static Environment FromJson(const Json &json);
  static Environment Parse(std::string_view text, std::string_view source_name);
};

// Among a run's secrets: those that the supervisor needs itself. No rank gets them.
inline constexpr char kOwnSecretPrefix[] = "trainyard.";
// The registry's password, for who makes the environment.
inline constexpr char kRegistryPasswordSecret[] = "trainyard.registry_password";

// 1 to 250 of letters, digits, '-', '_', '.'.
void CheckEnvironmentName(std::string_view name);
// AzureML* and Microsoft*, in any case: names that nobody may register.
bool IsReservedEnvironmentName(std::string_view name);
// One line of a requirements file or one package; throws for what names files of this machine, which would not travel
// with the environment.
void CheckPipLine(std::string_view line);
// Whether a Dockerfile starts from an image of its own.
bool HasFromLine(std::string_view dockerfile);

// What ty_environment_set_framework knows. `package` is the pip package that brings it; empty for Python itself.
struct FrameworkRow {
  std::string_view name;
  std::string_view package;
  std::string_view module;  // what a script imports
};
const std::vector<FrameworkRow> &Frameworks();
// By name, in any case; throws Error::InvalidArgument that lists the known ones.
const FrameworkRow &FindFramework(std::string_view name);

}  // namespace trainyard
