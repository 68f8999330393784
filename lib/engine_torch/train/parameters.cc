#include "engine_torch/train/parameters.h"

#include <algorithm>

#include "core/train_lists.h"
#include "util/error.h"

namespace trainyard {
namespace {

// A few names tell how they are made.
[[noreturn]] void ThrowFitsNone(const char *key, const std::string &pattern, const ImageClassifier &model) {
  std::string names;
  size_t count = 0;
  for (const auto &parameter : model.named_parameters()) {
    if (count++ == 4) break;
    names += (names.empty() ? "" : ", ") + parameter.key();
  }
  throw Error::InvalidArgument(
      std::string("setting '") + key + "': no parameter fits '" + pattern + "'; their names are " + names + ", ...",
      {{"key", key}, {"pattern", pattern}});
}

void CheckFits(const char *key, const std::string &pattern, const ImageClassifier &model) {
  const auto parameters = model.named_parameters();
  const bool fits = std::any_of(parameters.begin(), parameters.end(),
                                [&](const auto &parameter) { return FitsPattern(parameter.key(), pattern); });
  if (!fits) ThrowFitsNone(key, pattern, model);
}

}  // namespace

void ToChannelsLast(ImageClassifier *model) {
  for (at::Tensor parameter : model->parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
  }
}

void FreezeMatching(ImageClassifier *model, const std::string &patterns) {
  bool trained = false;
  const std::vector<std::string> frozen = ParsePatterns(patterns, "model.freeze");
  for (const std::string &pattern : frozen) CheckFits("model.freeze", pattern, *model);
  for (auto &parameter : model->named_parameters()) {
    const bool stays = std::any_of(frozen.begin(), frozen.end(),
                                   [&](const std::string &pattern) { return FitsPattern(parameter.key(), pattern); });
    if (stays) parameter.value().set_requires_grad(false);
    trained = trained || parameter.value().requires_grad();
  }
  if (!trained) {
    throw Error::InvalidArgument("setting 'model.freeze': '" + patterns + "' leaves no parameter to train",
                                 {{"key", "model.freeze"}});
  }
}

void TrainHead(ImageClassifier *model) {
  for (const auto &item : model->named_modules()) {
    const bool head = model->IsHeadModule(item.key());
    // Only what changes: workers may be running the backbone.
    if (item.value()->is_training() == head) continue;
    if (head) {
      item.value()->train();
    } else {
      item.value()->eval();
    }
  }
}

std::vector<ParameterGroup> GroupParameters(const ImageClassifier &model, const std::string &lr_factors) {
  const std::vector<ParameterFactor> factors = ParseFactors(lr_factors, "optimizer.lr_factors");
  for (const ParameterFactor &factor : factors) CheckFits("optimizer.lr_factors", factor.pattern, model);
  std::vector<ParameterGroup> groups;
  for (const auto &parameter : model.named_parameters()) {
    if (!parameter.value().requires_grad()) continue;
    const auto first = std::find_if(factors.begin(), factors.end(), [&](const ParameterFactor &factor) {
      return FitsPattern(parameter.key(), factor.pattern);
    });
    const double factor = first == factors.end() ? 1 : first->factor;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const ParameterGroup &other) { return other.lr_factor == factor; });
    if (group == groups.end()) group = groups.insert(groups.end(), ParameterGroup{{}, factor});
    group->parameters.emplace_back(parameter.key(), parameter.value());
  }
  return groups;
}

}  // namespace trainyard
