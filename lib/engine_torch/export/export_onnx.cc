#include "engine_torch/export/export_onnx.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include "engine_torch/export/graph_builder.h"
#include "engine_torch/export/lower.h"
#include "engine_torch/export/onnx_writer.h"
#include "engine_torch/export/trace.h"
#include "engine_torch/train/model_json.h"
#include "engine_torch/train/new_model.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

// What the files say of themselves (metadata_props), each only where it is known:
//   1. "task": that of model.json, "image_classification" where there is none
//   2. "architecture": a name of the table of models ("resnet50")
//   3. "classes": the names by index, a JSON list of strings
//   4. "preprocessing": that of model.json, a JSON object, with "included": whether the file does it itself

namespace trainyard {
namespace {

constexpr const char *kBatch = "batch";

at::ScalarType TypeNamed(const std::string &name) {
  const std::vector<std::pair<std::string, at::ScalarType>> known = {{"float32", at::kFloat},
                                                                     {"float64", at::kDouble},
                                                                     {"float16", at::kHalf},
                                                                     {"int64", at::kLong},
                                                                     {"int32", at::kInt}};
  std::vector<std::string> names;
  for (const auto &[text, type] : known) {
    if (text == name) return type;
    names.push_back(text);
  }
  throw Error::InvalidArgument(
      "options.input_type must be one of " + Join(names, ", ") + ", not '" + name + "'" + DidYouMean(name, names),
      {{"key", "input_type"}});
}

std::optional<std::array<float, 3>> Channels(const Json &json, std::string_view key) {
  const auto value = json.Find(key);
  if (!value) return std::nullopt;
  const std::vector<double> numbers = value->AsDoubleList();
  if (numbers.size() != 3)
    throw Error::InvalidArgument("options." + std::string(key) + " must have 3 numbers: red, green, blue",
                                 {{"key", std::string(key)}});
  return std::array<float, 3>{static_cast<float>(numbers[0]), static_cast<float>(numbers[1]),
                              static_cast<float>(numbers[2])};
}

// LibTorch's messages go over many lines, those of TorchScript with the reason in one of the last.
std::string ReasonOf(const std::string &text) {
  constexpr std::string_view kMark = "RuntimeError: ";
  const size_t mark = text.rfind(kMark);
  const size_t start = mark == std::string::npos ? 0 : mark + kMark.size();
  return text.substr(start, text.find('\n', start) - start);
}

// One export.
class Export {
 public:
  Export(const ExportSource &source, const OnnxOptions &options) : source_(source), options_(options) {
    shape_ = options.input_shape;
    if (shape_.empty()) shape_ = source.model.description.sample_shape;
    if (shape_.empty()) {
      const int64_t side = source.model.description.crop;
      shape_ = {3, side, side};
    }
    mean_ = options.mean.value_or(source.model.description.mean);
    std_ = options.std.value_or(source.model.description.std);
    classes_ = options.classes.empty() ? source.model.description.classes : options.classes;
    const ModelDescription &model = source.model.description;
    takes_images_ = shape_.size() == 3 && shape_[0] == 3 && options.input_type == at::kFloat &&
                    (!model.of_arrays() || model.normalises_bytes);
    if (options.preprocessing && !takes_images_) {
      throw Error::InvalidArgument(
          "options.preprocessing is for images: it needs an input of [3, height, width] float32 (of arrays: learnt "
          "from "
          "uint8), and this one is " +
              ShapeText(shape_),
          {{"key", "preprocessing"}});
    }
  }

  onnx::Model Run() {
    const std::string input = InputName();
    const onnx::TracedModel trace = TraceModel();
    onnx::GraphBuilder graph(options_.opset, input, source_.state);
    onnx::Lowered lowered =
        onnx::Lower(trace, options_.preprocessing ? AddPreprocessing(&graph, input) : input, &graph);
    operators_ = std::move(lowered.operators);
    std::vector<std::string> &outputs = lowered.outputs;
    CheckClasses(trace);
    const bool probabilities = options_.softmax && TaskOfSource() != Task::kRegression;
    if (probabilities) outputs[0] = AddProbabilities(&graph, trace, outputs[0]);
    onnx::Model model;
    const std::string name = probabilities ? "probabilities" : OutputName();
    for (size_t i = 0; i < outputs.size(); ++i) {
      outputs[i] = graph.NameOutput(outputs[i], i == 0 ? name : name + "_" + std::to_string(i));
      model.outputs.push_back({outputs[i], onnx::DataTypeOf(trace.TypeOf(trace.outputs()[i])),
                               Dimensions(trace.ShapeOf(trace.outputs()[i]))});
    }
    model.inputs.push_back(InputInfo(input));
    graph.Finish(outputs, &model);
    model.producer = "trainyard";
    model.producer_version = BuildId();
    model.graph_name = source_.is_script() ? "model" : source_.model.description.architecture;
    AddMetadata(&model);
    return model;
  }
  const std::set<std::string> &operators() const { return operators_; }

 private:
  onnx::TracedModel TraceModel() const {
    onnx::TraceRequest request;
    request.forward = source_.forward;
    request.input_shape = shape_;
    request.input_type = options_.input_type;
    if (!options_.dynamic_batch) request.batch_size = options_.batch_size;
    request.is_script = source_.is_script();
    try {
      return onnx::Trace(request);
    } catch (const Error &) {
      throw;
    } catch (const c10::OutOfMemoryError &) {
      throw;
    } catch (const std::bad_alloc &) {
      throw;
    } catch (const std::exception &error) {
      throw Error(Status::kUnsupported, "the model does not run on inputs of " + ShapeText(shape_) + " " +
                                            c10::toString(options_.input_type) + ": " + ReasonOf(error.what()) +
                                            "; give the shape and type of one input as \"input_shape\" and "
                                            "\"input_type\"");
    }
  }

  // From uint8 [n, height, width, 3] to what the model takes: (x / 255 - mean) / std as one product and one sum.
  std::string AddPreprocessing(onnx::GraphBuilder *graph, const std::string &input) const {
    const at::Tensor mean = at::tensor({mean_[0], mean_[1], mean_[2]}).to(at::kDouble);
    const at::Tensor deviation = at::tensor({std_[0], std_[1], std_[2]}).to(at::kDouble);
    const at::Tensor scale = (deviation * 255).reciprocal().to(at::kFloat);
    const at::Tensor shift = (-mean / deviation).to(at::kFloat);
    const std::string pixels = graph->Cast(input, at::kFloat);
    const std::string scaled = graph->Emit("Mul", {pixels, graph->Tensor(scale)});
    return graph->Transpose(graph->Emit("Add", {scaled, graph->Tensor(shift)}), {0, 3, 1, 2});
  }

  std::string InputName() const {
    if (source_.model.description.of_arrays() && !options_.preprocessing) return "inputs";
    return options_.preprocessing || !source_.is_script() ? "images" : "input";
  }

  std::string OutputName() const {
    if (TaskOfSource() == Task::kRegression) return "values";
    return source_.is_script() ? "output" : "logits";
  }

  // As the task makes them of logits.
  std::string AddProbabilities(onnx::GraphBuilder *graph, const onnx::TracedModel &trace,
                               const std::string &logits) const {
    if (trace.outputs().size() != 1 || trace.ShapeOf(trace.outputs()[0]).size() != 2) {
      throw Error::InvalidArgument("options.softmax is for models that return one [batch, classes] tensor",
                                   {{"key", "softmax"}});
    }
    if (TaskOfSource() == Task::kMultilabel) return graph->Emit("Sigmoid", {logits});
    return graph->Emit("Softmax", {logits}, {{"axis", int64_t{1}}});
  }

  Task TaskOfSource() const { return source_.model.description.task; }

  void CheckClasses(const onnx::TracedModel &trace) const {
    if (classes_.empty()) return;
    const onnx::Shape shape = trace.ShapeOf(trace.outputs()[0]);
    const int64_t count = shape.empty() ? 0 : shape.back().first;
    if (options_.classes.empty()) return source_.model.CheckClasses(count);
    if (count == static_cast<int64_t>(classes_.size())) return;
    throw Error::InvalidArgument("options.classes names " + std::to_string(classes_.size()) +
                                     " classes, and the model tells " + std::to_string(count) + " apart",
                                 {{"key", "classes"}});
  }

  onnx::Dimension BatchDimension() const {
    if (options_.dynamic_batch) return kBatch;
    return options_.batch_size;
  }

  onnx::ValueInfo InputInfo(const std::string &name) const {
    onnx::ValueInfo info{name, onnx::DataTypeOf(options_.input_type), {BatchDimension()}};
    if (options_.preprocessing) {
      info.type = onnx::DataType::kUint8;
      info.shape.insert(info.shape.end(), {shape_[1], shape_[2], shape_[0]});
    } else {
      info.shape.insert(info.shape.end(), shape_.begin(), shape_.end());
    }
    return info;
  }

  static std::vector<onnx::Dimension> Dimensions(const onnx::Shape &shape) {
    const onnx::Size batch = {onnx::TracedModel::kFirstBatch, onnx::TracedModel::kSecondBatch};
    std::vector<onnx::Dimension> dimensions;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i].fixed()) {
        dimensions.emplace_back(shape[i].first);
      } else {
        dimensions.emplace_back(shape[i] == batch ? std::string(kBatch) : "size_" + std::to_string(i));
      }
    }
    return dimensions;
  }

  void AddMetadata(onnx::Model *model) const {
    const ModelDescription *description = source_.description();
    if (!source_.is_script() || description != nullptr) {
      model->metadata.emplace_back("task",
                                   std::string(ModelTask(TaskOfSource(), source_.model.description.of_arrays())));
    }
    if (!source_.is_script()) model->metadata.emplace_back("architecture", source_.model.description.architecture);
    if (!classes_.empty()) model->metadata.emplace_back("classes", Json(classes_).Dump());
    if (!options_.preprocessing && (description == nullptr || !takes_images_)) return;
    ModelDescription facts = source_.model.description;
    facts.crop = static_cast<int>(shape_[1]);
    if (description == nullptr || description->of_arrays()) facts.resize = facts.crop;
    facts.mean = mean_;
    facts.std = std_;
    Json preprocessing = PreprocessingJson(facts);
    preprocessing.Set("included", options_.preprocessing);
    model->metadata.emplace_back("preprocessing", preprocessing.Dump());
  }

  const ExportSource &source_;
  const OnnxOptions &options_;
  std::vector<int64_t> shape_;  // of one input of the model
  bool takes_images_ = false;
  std::array<float, 3> mean_, std_;
  std::vector<std::string> classes_;
  std::set<std::string> operators_;
};

}  // namespace

OnnxOptions OnnxOptions::Parse(std::string_view text) {
  const Json json = Json::Parse(text, "options");
  json.CheckKeys({"opset", "dynamic_batch", "batch_size", "preprocessing", "softmax", "input_shape", "input_type",
                  "mean", "std", "classes"});
  OnnxOptions options;
  options.opset = json.GetInt64("opset", options.opset);
  if (options.opset < onnx::kMinOpset || options.opset > onnx::kMaxOpset) {
    throw Error(Status::kUnsupported,
                "options.opset is " + std::to_string(options.opset) + ", and files of opset " +
                    std::to_string(onnx::kMinOpset) + " to " + std::to_string(onnx::kMaxOpset) + " are written",
                {{"key", "opset"}});
  }
  options.dynamic_batch = json.GetBool("dynamic_batch", options.dynamic_batch);
  if (const auto size = json.Find("batch_size")) {
    options.batch_size = size->AsInt64(1, 65536);
    if (options.dynamic_batch)
      throw Error::InvalidArgument("options.batch_size is for \"dynamic_batch\": false", {{"key", "batch_size"}});
  }
  options.preprocessing = json.GetBool("preprocessing", options.preprocessing);
  options.softmax = json.GetBool("softmax", options.softmax);
  if (const auto shape = json.Find("input_shape")) {
    for (const Json &size : shape->Items()) options.input_shape.push_back(size.AsInt64(1, 1 << 24));
    if (options.input_shape.empty())
      throw Error::InvalidArgument("options.input_shape must name the sizes of one input, without the batch",
                                   {{"key", "input_shape"}});
  }
  if (json.Has("input_type")) options.input_type = TypeNamed(json.GetString("input_type"));
  options.mean = Channels(json, "mean");
  options.std = Channels(json, "std");
  for (const float value : options.std.value_or(ModelDescription().std)) {
    if (!(value > 0)) throw Error::InvalidArgument("options.std must have numbers above 0", {{"key", "std"}});
  }
  options.classes = json.GetStringList("classes");
  return options;
}

std::set<std::string> ExportOnnx(const ExportSource &source, const OnnxOptions &options, const std::string &path) {
  const std::string directory = ParentPath(path);
  if (!IsDirectory(directory))
    throw Error::NotFound("no directory '" + directory + "' to write '" + path + "' to: make it first",
                          {{"path", path}});
  if (IsDirectory(path))
    throw Error::InvalidArgument("'" + path + "' is a directory: name a file in it", {{"path", path}});
  Export exported(source, options);
  onnx::WriteModel(exported.Run(), path);
  return exported.operators();
}

}  // namespace trainyard
