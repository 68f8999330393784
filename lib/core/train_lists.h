// Settings of a training job that are lists in one text, as people write them on a command line. Thread rule: functions
// without state. All throw Error::InvalidArgument, which names the setting (`key`) and the part that is wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// "conv1.*,layer1.*": patterns of parameter names, in which * stands for any text and ? for one character.
std::vector<std::string> ParsePatterns(std::string_view text, std::string_view key);

// "layer4.*=0.1,fc.*=1"
struct ParameterFactor {
  std::string pattern;
  double factor = 1;
};
std::vector<ParameterFactor> ParseFactors(std::string_view text, std::string_view key);

// "", "balanced", or "1,2.5,1": one weight per class.
struct ClassWeights {
  bool balanced = false;
  std::vector<double> weights;  // empty: all alike, or balanced
};
ClassWeights ParseClassWeights(std::string_view text, std::string_view key);

bool FitsPattern(std::string_view name, const std::string &pattern);

}  // namespace trainyard
