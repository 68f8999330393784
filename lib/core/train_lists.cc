#include "core/train_lists.h"

#include <fnmatch.h>

#include <cmath>
#include <optional>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

[[noreturn]] void Refuse(std::string_view key, const std::string &message) {
  throw Error::InvalidArgument("setting '" + std::string(key) + "' " + message, {{"key", std::string(key)}});
}

std::vector<std::string> Parts(std::string_view text, std::string_view key) {
  std::vector<std::string> parts;
  if (Trim(text).empty()) return parts;
  for (const std::string_view part : Split(text, ',')) {
    parts.emplace_back(Trim(part));
    if (parts.back().empty()) Refuse(key, "has an empty part between its commas: '" + std::string(text) + "'");
  }
  return parts;
}

double Number(const std::string &text, std::string_view key, const std::string &part) {
  const std::optional<double> number = ParseDouble(text);
  if (!number || !std::isfinite(*number) || *number < 0) Refuse(key, "needs a number of 0 or more in '" + part + "'");
  return *number;
}

}  // namespace

std::vector<std::string> ParsePatterns(std::string_view text, std::string_view key) {
  return Parts(text, key);
}

std::vector<ParameterFactor> ParseFactors(std::string_view text, std::string_view key) {
  std::vector<ParameterFactor> factors;
  for (const std::string &part : Parts(text, key)) {
    const size_t equal = part.find('=');
    if (equal == 0 || equal == std::string::npos) Refuse(key, "needs PATTERN=FACTOR, got '" + part + "'");
    factors.push_back({std::string(Trim(part.substr(0, equal))), Number(part.substr(equal + 1), key, part)});
  }
  return factors;
}

ClassWeights ParseClassWeights(std::string_view text, std::string_view key) {
  ClassWeights weights;
  if (Trim(text) == "balanced") {
    weights.balanced = true;
    return weights;
  }
  double sum = 0;
  for (const std::string &part : Parts(text, key)) {
    weights.weights.push_back(Number(part, key, part));
    sum += weights.weights.back();
  }
  if (!weights.weights.empty() && sum == 0) Refuse(key, "must not have all weights 0");
  return weights;
}

bool FitsPattern(std::string_view name, const std::string &pattern) {
  return fnmatch(pattern.c_str(), std::string(name).c_str(), FNM_NOESCAPE) == 0;
}

}  // namespace trainyard
