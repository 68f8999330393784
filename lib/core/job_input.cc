#include "core/job_input.h"

#include <algorithm>
#include <array>

#include "core/data_reference.h"
#include "util/error.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr std::string_view kOpen = "${{", kClose = "}}", kInputs = "inputs.";

constexpr size_t kMaxName = 100;

bool IsVariableName(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || (name[0] >= '0' && name[0] <= '9')) return false;
  return name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
         std::string_view::npos;
}

// Variables by which the system or the launcher steers a process: data in their place would break it.
bool IsTaken(std::string_view name) {
  static constexpr std::array<std::string_view, 23> kNames = {
      "PATH",        "HOME",        "SHELL",      "USER",
      "LOGNAME",     "TMPDIR",      "IFS",        "ENV",
      "LANG",        "TZ",          "RANK",       "LOCAL_RANK",
      "NODE_RANK",   "GROUP_RANK",  "WORLD_SIZE", "LOCAL_WORLD_SIZE",
      "MASTER_ADDR", "MASTER_PORT", "BASH_ENV",   "PWD",
      "http_proxy",  "https_proxy", "no_proxy"};
  static constexpr std::array<std::string_view, 15> kPrefixes = {
      "PYTHON",   "GIT_", "NCCL_", "GLOO_",         "OMP_",  "TRAINYARD_", "AZUREML_", "AZURE_ML_",
      "AZ_BATCH", "LD_",  "LC_",   "TORCHELASTIC_", "OMPI_", "CUDA_",      "NVIDIA_"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

JobInput::Mode ModeFromJson(const Json &json) {
  const std::string name = json.AsString();
  if (name == "link") return JobInput::Mode::kLink;
  if (name == "download") return JobInput::Mode::kDownload;
  throw Error::InvalidArgument(json.path() + " must be 'link' or 'download', got '" + name + "'",
                               {{"key", json.path()}});
}

}  // namespace

void CheckInput(const std::string &name, const JobInput &input) {
  if (!IsVariableName(name)) {
    throw Error::InvalidArgument("input name '" + std::string(TruncateUtf8(name, kMaxName)) +
                                 "' must be that of a variable: up to 100 letters, digits and '_', no digit in front");
  }
  if (IsTaken(name)) {
    throw Error::InvalidArgument("an input sets the variable of its name, and '" + name +
                                 "' is one that a run needs for something else: choose another name");
  }
  try {
    const DataReference reference = DataReference::Parse(input.source);
    const std::string &url = reference.url;
    if (url.find(kTakenOut) == std::string::npos || MaskCredentials(url) != url) return;
    throw Error::InvalidArgument("the credentials of '" + url +
                                 "' were not kept ('***' stands for them): add the input again with its whole URL");
  } catch (const Error &error) {
    throw Error(error.status(), "input '" + name + "': " + error.what(), error.details());
  }
}

std::string InputHashProperty(const std::string &name) {
  return "trainyard.input." + name + ".sha256";
}

std::vector<std::string> InputVariables(const std::string &name) {
  return {name, "AZUREML_DATAREFERENCE_" + name, "AZURE_ML_INPUT_" + name};
}

Json InputsToJson(const JobInputs &inputs) {
  Json json = Json::Object();
  for (const auto &[name, input] : inputs) {
    Json entry = Json::Object();
    entry.Set("source", MaskCredentials(input.source))
        .Set("mode", input.mode == JobInput::Mode::kLink ? "link" : "download");
    if (!input.location.empty()) entry.Set("location", MaskCredentials(input.location));
    if (!input.sha256.empty()) entry.Set("sha256", input.sha256);
    json.Set(name, entry);
  }
  return json;
}

JobInputs InputsFromJson(const Json &json) {
  JobInputs inputs;
  for (const auto &[name, value] : json.Members()) {
    value.CheckKeys({"source", "mode", "location", "sha256"});
    JobInput input;
    input.source = value.GetString("source");
    if (const auto mode = value.Find("mode")) input.mode = ModeFromJson(*mode);
    input.location = value.GetString("location", "");
    input.sha256 = value.GetString("sha256", "");
    inputs[name] = std::move(input);
  }
  return inputs;
}

std::string ExpandInputs(std::string_view text, const std::map<std::string, std::string> &paths) {
  std::string result;
  for (;;) {
    const size_t open = text.find(kOpen);
    const size_t close = open == std::string_view::npos ? open : text.find(kClose, open);
    if (close == std::string_view::npos) return result += text;
    const std::string_view inside = Trim(text.substr(open + kOpen.size(), close - open - kOpen.size()));
    result += text.substr(0, open);
    if (inside.starts_with(kInputs)) {
      const std::string name(inside.substr(kInputs.size()));
      const auto path = paths.find(name);
      if (path == paths.end()) {
        std::vector<std::string> names;
        for (const auto &[known, value] : paths) names.push_back(known);
        throw Error::InvalidArgument("'${{inputs." + name + "}}': the job has no input '" + name + "'" +
                                     DidYouMean(name, names) + "; add it with ty_job_add_input");
      }
      result += path->second;
    } else {
      result += text.substr(open, close + kClose.size() - open);
    }
    text.remove_prefix(close + kClose.size());
  }
}

}  // namespace trainyard
