#include "engine_torch/models/load.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cstring>
#include <vector>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/safetensors.h"
#include "util/hash.h"
#include "util/text.h"

namespace trainyard {
namespace {

using State = std::vector<std::pair<std::string, torch::Tensor>>;  // Module.state_dict() of Python

State StateOf(const torch::nn::Module &model) {
  State state;
  for (const auto &parameter : model.named_parameters()) state.emplace_back(parameter.key(), parameter.value());
  for (const auto &buffer : model.named_buffers()) state.emplace_back(buffer.key(), buffer.value());
  return state;
}

torch::ScalarType TorchType(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return torch::kFloat64;
    case DType::kFloat32:
      return torch::kFloat32;
    case DType::kFloat16:
      return torch::kFloat16;
    case DType::kBFloat16:
      return torch::kBFloat16;
    case DType::kInt64:
      return torch::kInt64;
    case DType::kInt32:
      return torch::kInt32;
    case DType::kInt16:
      return torch::kInt16;
    case DType::kInt8:
      return torch::kInt8;
    case DType::kUInt64:
      return torch::kUInt64;
    case DType::kUInt32:
      return torch::kUInt32;
    case DType::kUInt16:
      return torch::kUInt16;
    case DType::kUInt8:
      return torch::kUInt8;
    case DType::kBool:
      return torch::kBool;
  }
  throw Error::Internal("unknown dtype");
}

// A tensor over the file's bytes; over a copy of them when they are not aligned (legacy files).
torch::Tensor ViewOf(const NamedTensor &tensor) {
  const auto options = torch::TensorOptions(TorchType(tensor.dtype));
  if (tensor.data.empty()) return torch::empty(tensor.shape, options);
  if (reinterpret_cast<uintptr_t>(tensor.data.data()) % SizeOf(tensor.dtype) != 0) {
    const auto count = static_cast<int64_t>(tensor.data.size() / SizeOf(tensor.dtype));
    const torch::Tensor copy = torch::empty({count}, options);
    std::memcpy(copy.data_ptr(), tensor.data.data(), tensor.data.size());
    return tensor.strides.empty() ? copy.view(tensor.shape) : copy.as_strided(tensor.shape, tensor.strides);
  }
  // from_blob wants a mutable pointer; nothing writes through it.
  void *data = const_cast<std::byte *>(tensor.data.data());
  return tensor.strides.empty() ? torch::from_blob(data, tensor.shape, options)
                                : torch::from_blob(data, tensor.shape, tensor.strides, options);
}

bool MayBeAbsent(const std::string &name) {
  return name.ends_with(".num_batches_tracked");
}

std::string ShapeText(torch::IntArrayRef shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

// The first few names and how many more there are.
class NameList {
 public:
  void Add(const std::string &name) {
    constexpr size_t kShown = 5;
    if (count_ < kShown) text_ += (count_ == 0 ? "" : ", ") + Printable(name);
    if (++count_ == kShown + 1) text_ += ", ...";
  }
  bool empty() const { return count_ == 0; }
  std::string Text(const std::string &what) const { return std::to_string(count_) + " " + what + " (" + text_ + ")"; }

 private:
  size_t count_ = 0;
  std::string text_;
};

// How the file's names and shapes compare with a model's.
struct Comparison {
  NameList missing;
  NameList unexpected;
  NameList misshapen;
  bool head_differs = false;  // counted apart when the caller asked for it

  bool fits() const { return missing.empty() && unexpected.empty() && misshapen.empty(); }
};

Comparison Compare(const ImageClassifier &model, const State &state,
                   const std::map<std::string, const NamedTensor *> &file, bool head_apart) {
  Comparison result;
  std::map<std::string, const NamedTensor *> rest = file;
  for (const auto &[name, tensor] : state) {
    const auto found = rest.find(name);
    const bool present = found != rest.end();
    const bool fits = present && tensor.sizes() == torch::IntArrayRef(found->second->shape);
    if (head_apart && model.IsHead(name)) {
      result.head_differs |= !fits;
    } else if (!present) {
      if (!MayBeAbsent(name)) result.missing.Add(name);
    } else if (!fits) {
      result.misshapen.Add(name + " " + ShapeText(found->second->shape) + " instead of " + ShapeText(tensor.sizes()));
    }
    if (present) rest.erase(found);
  }
  for (const auto &[name, tensor] : rest) {
    if (!(head_apart && model.IsHead(name))) result.unexpected.Add(name);
  }
  return result;
}

// torchvision named some layers otherwise once, and the weights it published then keep those names:
// "denselayer1.norm.1.weight" of DenseNet, "mlp.linear_1.weight" of Vision Transformers.
std::string CurrentName(std::string name) {
  struct Rename {
    std::string_view layer, then, now;
  };
  constexpr Rename kRenames[] = {{".denselayer", ".norm.", ".norm"},
                                 {".denselayer", ".conv.", ".conv"},
                                 {".encoder_layer_", ".mlp.linear_1.", ".mlp.0."},
                                 {".encoder_layer_", ".mlp.linear_2.", ".mlp.3."}};
  for (const Rename &rename : kRenames) {
    if (name.find(rename.layer) == std::string::npos) continue;
    const size_t at = name.find(rename.then);
    if (at != std::string::npos) name.replace(at, rename.then.size(), rename.now);
  }
  return name;
}

std::map<std::string, const NamedTensor *> IndexOf(const TensorFile &file) {
  std::map<std::string, const NamedTensor *> index;
  for (const NamedTensor &tensor : file.tensors) index[CurrentName(tensor.name)] = &tensor;
  return index;
}

// FingerprintOf's hash, of names in alphabetical order.
class Fingerprint {
 public:
  explicit Fingerprint(std::string_view head) : head_(std::string(head) + ".") {}
  void Add(const std::string &name, torch::IntArrayRef shape) {
    if (name.starts_with(head_) || MayBeAbsent(name)) return;
    sha256_.Update(name + " " + ShapeText(shape) + "\n");
  }
  std::string Hash() { return sha256_.HexDigest().substr(0, 16); }

 private:
  std::string head_;
  Sha256 sha256_;
};

Error Mismatch(const ImageClassifier &model, const TensorFile &file, const Comparison &comparison) {
  std::vector<std::string> parts;
  if (!comparison.missing.empty()) parts.push_back(comparison.missing.Text("missing"));
  if (!comparison.unexpected.empty()) parts.push_back(comparison.unexpected.Text("unexpected"));
  if (!comparison.misshapen.empty()) parts.push_back(comparison.misshapen.Text("of another shape"));
  std::string message = "'" + file.path.string() + "' does not fit " + model.name() + ": ";
  for (size_t i = 0; i < parts.size(); ++i) message += (i == 0 ? "" : "; ") + parts[i];
  Error::Details details = {{"path", file.path.string()}, {"model", model.name()}};
  const Architecture *other = ArchitectureOf(file);
  if (other != nullptr && model.name() != other->name) {
    message += std::string("; these look like ") + other->name + " weights: set the model to that";
    details["looks_like"] = other->name;
  } else if (!file.model_class.empty()) {
    message += "; the file was saved from a " + file.model_class;
  }
  if (!file.state_dict_key.empty() && !file.other_keys.empty()) {
    message += "; read from its key '" + Printable(file.state_dict_key) + "', others hold tensors too";
  }
  return Error::InvalidArgument(message, std::move(details));
}

// A model whose weights are about to be read must not change what the caller draws next.
class KeepGenerator {
 public:
  KeepGenerator()
      : generator_(at::detail::getDefaultCPUGenerator()), state_(Locked([&] { return generator_.get_state(); })) {}
  ~KeepGenerator() {
    Locked([&] {
      generator_.set_state(state_);
      return 0;
    });
  }
  KeepGenerator(const KeepGenerator &) = delete;
  KeepGenerator &operator=(const KeepGenerator &) = delete;

 private:
  template <typename Body>
  auto Locked(Body body) -> decltype(body()) {
    std::lock_guard<std::mutex> lock(generator_.mutex());
    return body();
  }

  at::Generator generator_;
  at::Tensor state_;
};

}  // namespace

LoadResult LoadWeights(ImageClassifier *model, const TensorFile &file, const LoadOptions &options) {
  const torch::NoGradGuard no_grad;
  const std::map<std::string, const NamedTensor *> index = IndexOf(file);
  const State state = StateOf(*model);
  const Comparison comparison = Compare(*model, state, index, options.allow_head_mismatch);
  if (!comparison.fits()) throw Mismatch(*model, file, comparison);
  for (const auto &[name, tensor] : state) {
    const auto found = index.find(name);
    if (found == index.end() || at::isFloatingType(TorchType(found->second->dtype)) == tensor.is_floating_point())
      continue;
    throw Error::InvalidArgument("'" + file.path.string() + "': " + name + " has dtype " +
                                     NameOf(found->second->dtype) + "; is this a quantised model? give float weights",
                                 {{"path", file.path.string()}});
  }
  for (const auto &[name, tensor] : state) {
    const auto found = index.find(name);
    if (found == index.end() || (comparison.head_differs && model->IsHead(name))) continue;
    torch::Tensor target = tensor;
    target.copy_(ViewOf(*found->second));
  }
  if (comparison.head_differs) {
    const torch::Device device = state.front().second.device();
    const bool training = model->is_training();
    model->ResetHead(model->num_classes());
    model->to(device);
    model->train(training);
  }
  return {comparison.head_differs};
}

std::optional<int64_t> ClassesOf(const TensorFile &file, const Architecture &architecture) {
  const NamedTensor *weight = file.Find(std::string(architecture.head) + ".weight");
  if (weight == nullptr || weight->shape.empty()) return std::nullopt;
  return weight->shape.front();
}

const Architecture *ArchitectureOf(const TensorFile &file) {
  const std::map<std::string, const NamedTensor *> index = IndexOf(file);
  for (const Architecture &architecture : Architectures()) {
    Fingerprint fingerprint(architecture.head);
    for (const auto &[name, tensor] : index) fingerprint.Add(name, tensor->shape);
    if (fingerprint.Hash() == architecture.fingerprint) return &architecture;
  }
  return nullptr;
}

std::string FingerprintOf(const ImageClassifier &model) {
  const State state = StateOf(model);
  Fingerprint fingerprint(model.head_path());
  for (const auto &[name, tensor] : std::map(state.begin(), state.end())) fingerprint.Add(name, tensor.sizes());
  return fingerprint.Hash();
}

std::shared_ptr<ImageClassifier> ModelOf(const TensorFile &file) {
  const auto refuse = [&file](const std::string &what) {
    return Error(Status::kUnsupported, "'" + file.path.string() + "' " + what, {{"path", file.path.string()}});
  };
  if (!file.model_class.empty() && !file.model_class.starts_with("torchvision.models.")) {
    throw refuse("is a whole module of the class " + file.model_class +
                 ", whose code is not in the file: export it with torch.jit.script, or save its state dict when it is "
                 "one of the known models");
  }
  const Architecture *architecture = ArchitectureOf(file);
  if (architecture == nullptr) {
    std::vector<std::string> names;
    for (const Architecture &known : Architectures()) names.emplace_back(known.name);
    throw refuse("holds the weights of no known model (known: " + Join(names, ", ") +
                 "); for another one, export it with torch.jit.script or torch.jit.trace");
  }
  const std::optional<int64_t> classes = ClassesOf(file, *architecture);
  if (!classes || *classes < 1)
    throw refuse(std::string("holds ") + architecture->name + " without its last layer, " + architecture->head);
  const KeepGenerator keep;
  std::shared_ptr<ImageClassifier> model = architecture->make(*classes);
  LoadWeights(model.get(), file);
  return model;
}

void SaveWeights(const ImageClassifier &model, const std::filesystem::path &path,
                 const std::map<std::string, std::string> &metadata) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> kept;  // what the entries below point into
  std::vector<NamedTensor> tensors;
  for (const auto &[name, tensor] : StateOf(model)) {
    const bool real = tensor.is_floating_point();
    kept.push_back(tensor.detach().to(torch::kCPU, real ? torch::kFloat32 : torch::kInt64).contiguous());
    NamedTensor &entry = tensors.emplace_back();
    entry.name = name;
    entry.dtype = real ? DType::kFloat32 : DType::kInt64;
    entry.shape = kept.back().sizes().vec();
    entry.data = {static_cast<const std::byte *>(kept.back().const_data_ptr()), kept.back().nbytes()};
  }
  WriteSafetensors(path, tensors, metadata);
}

}  // namespace trainyard
