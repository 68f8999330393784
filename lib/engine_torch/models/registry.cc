#include "engine_torch/models/registry.h"

#include <vector>

#include "engine_torch/models/resnet.h"
#include "engine_torch/models/squeezenet.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr Architecture kArchitectures[] = {
    {"squeezenet1_1", MakeSqueezeNet11, "classifier.1", HeadKind::kConvolution},
    {"resnet18", MakeResNet18, "fc", HeadKind::kLinear},
    {"resnet34", MakeResNet34, "fc", HeadKind::kLinear},
    {"resnet50", MakeResNet50, "fc", HeadKind::kLinear},
};

}  // namespace

std::span<const Architecture> Architectures() {
  return kArchitectures;
}

const Architecture &FindArchitecture(const std::string &name) {
  std::vector<std::string> names;
  for (const Architecture &architecture : kArchitectures) {
    if (name == architecture.name) return architecture;
    names.emplace_back(architecture.name);
  }
  throw Error::NotFound(
      "there is no model named '" + name + "'" + DidYouMean(name, names) + " (known: " + Join(names, ", ") + ")",
      {{"key", name}});
}

std::shared_ptr<ImageClassifier> MakeModel(const std::string &name, int64_t num_classes) {
  const Architecture &architecture = FindArchitecture(name);
  if (num_classes < 1)
    throw Error::InvalidArgument("a model needs at least one class, not " + std::to_string(num_classes));
  return architecture.make(num_classes);
}

}  // namespace trainyard
