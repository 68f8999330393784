// The data that a job works on: named inputs, and the places of a job's texts that stand for them. Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "util/json.h"

namespace trainyard {

struct JobInput {
  enum class Mode : int32_t {
    kLink = 0,      // where the data is, for reading
    kDownload = 1,  // a copy of the run's own
  };
  std::string source;  // core/data_reference.h; in a submitted job with the version of an asset
  Mode mode = Mode::kLink;
  // What the source stands for, found at the submit: an absolute path, or a URL and its hash where there is one.
  std::string location, sha256;

  bool IsUrl() const { return !location.empty() && location[0] != '/'; }
};
using JobInputs = std::map<std::string, JobInput>;

// A URL with credentials is not kept: the supervisor gets it beside the secrets, under this and the input's name.
inline constexpr char kInputUrlSecret[] = "trainyard.input_url.";

// Throws Error::InvalidArgument: the name is none of an environment variable or one that the run needs itself, or the
// source is no reference.
void CheckInput(const std::string &name, const JobInput &input);

// The run's property with the SHA-256 of what a URL without one gave.
std::string InputHashProperty(const std::string &name);

// The environment variables that tell a rank where the input is.
std::vector<std::string> InputVariables(const std::string &name);

// Without the credentials of URLs.
Json InputsToJson(const JobInputs &inputs);
JobInputs InputsFromJson(const Json &json);

// The text with each ${{inputs.NAME}} replaced by what `paths` has for it; a name that is not there is Error
// kInvalidArgument.
std::string ExpandInputs(std::string_view text, const std::map<std::string, std::string> &paths);

}  // namespace trainyard
