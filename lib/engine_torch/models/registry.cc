#include "engine_torch/models/registry.h"

#include <vector>

#include "engine_torch/models/convnext.h"
#include "engine_torch/models/densenet.h"
#include "engine_torch/models/efficientnet.h"
#include "engine_torch/models/mobilenet.h"
#include "engine_torch/models/resnet.h"
#include "engine_torch/models/squeezenet.h"
#include "engine_torch/models/vgg.h"
#include "engine_torch/models/vit.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr Architecture kArchitectures[] = {
    {"squeezenet1_0", MakeSqueezeNet10, "classifier.1", HeadKind::kConvolution, "9033bf9a8e91ea50"},
    {"squeezenet1_1", MakeSqueezeNet11, "classifier.1", HeadKind::kConvolution, "3522867e3927baae"},
    {"resnet18", MakeResNet18, "fc", HeadKind::kLinear, "6a06edf78d5cd5d0"},
    {"resnet34", MakeResNet34, "fc", HeadKind::kLinear, "af7e248e00bed944"},
    {"resnet50", MakeResNet50, "fc", HeadKind::kLinear, "a6e82e321887fe53"},
    {"resnet101", MakeResNet101, "fc", HeadKind::kLinear, "5692dc50045f3c72"},
    {"densenet121", MakeDenseNet121, "classifier", HeadKind::kLinear, "57ef5b1bf0613989"},
    {"vgg16_bn", MakeVgg16Bn, "classifier.6", HeadKind::kLinear, "2b267e43e6c1bc4b"},
    {"mobilenet_v2", MakeMobileNetV2, "classifier.1", HeadKind::kLinear, "ab7001307f25a0be"},
    {"mobilenet_v3_small", MakeMobileNetV3Small, "classifier.3", HeadKind::kLinear, "06d383f74138b771"},
    {"mobilenet_v3_large", MakeMobileNetV3Large, "classifier.3", HeadKind::kLinear, "3c355da3608d5e25"},
    {"efficientnet_b0", MakeEfficientNetB0, "classifier.1", HeadKind::kLinear, "189ca2a70aafc388"},
    {"convnext_tiny", MakeConvNextTiny, "classifier.2", HeadKind::kLinear, "0f055964803ffbf1"},
    {"vit_b_16", MakeVitB16, "heads.head", HeadKind::kLinear, "64eb72ef71524c85", kVitImageSize},
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

void CheckCrop(const Architecture &architecture, int64_t crop) {
  if (architecture.image_size == 0 || architecture.image_size == crop) return;
  const std::string side = std::to_string(architecture.image_size);
  throw Error::InvalidArgument(std::string(architecture.name) + " takes images of " + side + " x " + side +
                                   " pixels only: set transform.crop to " + side + " instead of " +
                                   std::to_string(crop),
                               {{"key", "transform.crop"}});
}

}  // namespace trainyard
