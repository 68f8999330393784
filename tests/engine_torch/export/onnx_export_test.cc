// What is in exported files, and what is refused. That they compute what the model does is for the parity scripts.
#include "engine_torch/export/export_onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/utils.h>

#include "engine_torch/export/onnx_reader.h"
#include "engine_torch/models/load.h"
#include "engine_torch/models/registry.h"
#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "util/json.h"

namespace trainyard {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::OnnxFile;
using testing::ReadOnnx;

class ExportTest : public ::testing::Test {
 protected:
  std::string At(const std::string &name) const { return JoinPath(directory_.path(), name); }

  OnnxFile Export(const std::string &model, const std::string &options = "{}") {
    operators_ = ExportOnnx(OpenExportSource(model), OnnxOptions::Parse(options), At("out.onnx"));
    return ReadOnnx(At("out.onnx"));
  }
  // A model as a training job writes it.
  std::string MakeModelDirectory(const std::string &architecture, int crop = 64,
                                 Task task = Task::kClassification) const {
    ModelDescription description;
    description.task = task;
    description.architecture = architecture;
    description.classes = {"ants", "bees", "\"quoted\""};
    if (task == Task::kRegression) description.classes = {"value"};
    description.resize = crop + 8;
    description.crop = crop;
    description.mean = {0.5f, 0.4f, 0.3f};
    description.std = {0.25f, 0.5f, 1.0f};
    MakeDirs(At("model"));
    WriteModel(At("model"), description, *MakeModel(architecture, static_cast<int64_t>(description.classes.size())));
    return At("model");
  }
  std::string MakeScript(const std::string &forward) const {
    torch::jit::Module module("m");
    module.register_parameter("scale", torch::full({1}, 2.0f), /*is_buffer=*/false);
    module.define(forward);
    module.save(At("script.pt"));
    return At("script.pt");
  }

  TempDir directory_;
  std::set<std::string> operators_;  // of the last export
};

TEST_F(ExportTest, WeightsKeepTheirNames) {
  const OnnxFile file = Export(MakeModelDirectory("resnet18"));
  EXPECT_EQ(file.opset, 17);
  EXPECT_EQ(file.producer, "trainyard");
  EXPECT_EQ(file.graph_name, "resnet18");
  EXPECT_THAT(file.inputs, ElementsAre("images 1 batch,3,64,64"));
  EXPECT_THAT(file.outputs, ElementsAre("logits 1 batch,3"));
  const std::shared_ptr<ImageClassifier> model = MakeModel("resnet18", 3);
  std::vector<std::string> wanted;
  for (const auto &parameter : model->named_parameters()) wanted.push_back(parameter.key());
  for (const auto &buffer : model->named_buffers()) {
    if (!buffer.key().ends_with("num_batches_tracked")) wanted.push_back(buffer.key());
  }
  std::vector<std::string> names;
  for (const auto &[name, tensor] : file.initializers) names.push_back(name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(wanted));
  const TensorFile weights = OpenWeights(At("model/model.safetensors"));
  const NamedTensor &conv = *weights.Find("layer4.1.conv2.weight");
  EXPECT_EQ(file.initializers.at("layer4.1.conv2.weight").shape, conv.shape);
  EXPECT_EQ(file.initializers.at("layer4.1.conv2.weight").bytes,
            std::string(reinterpret_cast<const char *>(conv.data.data()), conv.data.size()));
  EXPECT_EQ(file.nodes[0].name, "conv1/Conv");
  EXPECT_EQ(file.nodes.back().op, "Gemm");
}

TEST_F(ExportTest, FactsAreInTheMetadata) {
  const OnnxFile file = Export(MakeModelDirectory("squeezenet1_1"));
  EXPECT_EQ(file.metadata.at("task"), "image_classification");
  EXPECT_EQ(file.metadata.at("architecture"), "squeezenet1_1");
  EXPECT_EQ(Json::Parse(file.metadata.at("classes"), "classes").AsStringList(),
            (std::vector<std::string>{"ants", "bees", "\"quoted\""}));
  const Json preprocessing = Json::Parse(file.metadata.at("preprocessing"), "preprocessing");
  EXPECT_EQ(preprocessing.GetInt64("resize"), 72);
  EXPECT_EQ(preprocessing.GetInt64("crop"), 64);
  EXPECT_EQ(preprocessing.Get("mean").AsDoubleList(), (std::vector<double>{0.5, 0.4, 0.3}));
  EXPECT_FALSE(preprocessing.GetBool("included"));
}

TEST_F(ExportTest, PreprocessingAndSoftmaxGoInside) {
  const OnnxFile file = Export(MakeModelDirectory("squeezenet1_1"), R"({"preprocessing": true, "softmax": true})");
  EXPECT_THAT(file.inputs, ElementsAre("images 2 batch,64,64,3"));
  EXPECT_THAT(file.outputs, ElementsAre("probabilities 1 batch,3"));
  EXPECT_EQ(file.nodes[0].op, "Cast");
  EXPECT_EQ(file.nodes.back().op, "Softmax");
  EXPECT_TRUE(Json::Parse(file.metadata.at("preprocessing"), "p").GetBool("included"));
}

TEST_F(ExportTest, WhatGoesInsideFollowsTheTask) {
  const std::string options = R"({"softmax": true})";
  OnnxFile file = Export(MakeModelDirectory("squeezenet1_1", 64, Task::kMultilabel), options);
  EXPECT_THAT(file.outputs, ElementsAre("probabilities 1 batch,3"));
  EXPECT_EQ(file.nodes.back().op, "Sigmoid");
  EXPECT_EQ(file.metadata.at("task"), "image_multilabel");
  file = Export(MakeModelDirectory("squeezenet1_1", 64, Task::kMultilabel));
  EXPECT_THAT(file.outputs, ElementsAre("logits 1 batch,3"));
  EXPECT_NE(file.nodes.back().op, "Sigmoid");

  file = Export(MakeModelDirectory("squeezenet1_1", 64, Task::kRegression), options);
  EXPECT_THAT(file.outputs, ElementsAre("values 1 batch,1"));
  EXPECT_NE(file.nodes.back().op, "Softmax");
  EXPECT_EQ(file.metadata.at("task"), "image_regression");
}

TEST_F(ExportTest, TheBatchSizeCanBeFixed) {
  const OnnxFile file =
      Export(MakeModelDirectory("squeezenet1_1"), R"({"dynamic_batch": false, "batch_size": 4, "opset": 13})");
  EXPECT_THAT(file.inputs, ElementsAre("images 1 4,3,64,64"));
  EXPECT_THAT(file.outputs, ElementsAre("logits 1 4,3"));
  EXPECT_EQ(file.opset, 13);
  EXPECT_EQ(file.ir_version, 7);
}

TEST_F(ExportTest, AWeightFileOfAKnownArchitectureIsEnough) {
  SaveWeights(*MakeModel("resnet18", 5), At("w.safetensors"));
  const OnnxFile file =
      Export(At("w.safetensors"), R"({"input_shape": [3, 64, 96], "classes": ["a","b","c","d","e"]})");
  EXPECT_THAT(file.inputs, ElementsAre("images 1 batch,3,64,96"));
  EXPECT_THAT(file.outputs, ElementsAre("logits 1 batch,5"));
  EXPECT_EQ(file.metadata.at("classes"), R"(["a","b","c","d","e"])");
  EXPECT_EQ(file.metadata.count("preprocessing"), 0u);
}

TEST_F(ExportTest, TorchScriptIsTraced) {
  const OnnxFile file = Export(MakeScript(R"(
    def forward(self, x):
        y = (x * self.scale).flatten(1)
        if y.size(1) > 3:
            y = y[:, 1:]
        return y, y.sum(1)
  )"),
                               R"({"input_shape": [2, 3]})");
  EXPECT_THAT(file.inputs, ElementsAre("input 1 batch,2,3"));
  EXPECT_THAT(file.outputs, ElementsAre("output 1 batch,5", "output_1 1 batch"));
  EXPECT_THAT(file.Operators(), ElementsAre("Mul", "Flatten", "Slice", "ReduceSum"));
  EXPECT_THAT(operators_, ElementsAre("aten::flatten", "aten::mul", "aten::slice", "aten::sum"));
  EXPECT_EQ(file.initializers.count("scale"), 1u);
  EXPECT_TRUE(file.metadata.empty());
}

// What a model.json says of a file beside it holds for export as for prediction.
TEST_F(ExportTest, TorchScriptKeepsTheClassesOfTheModelJsonBesideIt) {
  const std::string script = MakeScript(R"(
    def forward(self, x):
        return x.mean([2, 3]) * self.scale
  )");
  WriteFileAtomic(At("model.json"), R"({"schema_version": 1, "task": "image_classification", "weights": "script.pt",
      "classes": ["ants", "bees", "wasps"],
      "preprocessing": {"resize": 40, "crop": 32, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 1]}})");
  for (const std::string &path : {script, directory_.path(), At("model.json")}) {
    const OnnxFile file = Export(path);
    EXPECT_THAT(file.inputs, ElementsAre("input 1 batch,3,32,32")) << path;
    EXPECT_EQ(file.metadata.at("task"), "image_classification");
    EXPECT_EQ(file.metadata.at("classes"), R"(["ants","bees","wasps"])");
    const Json preprocessing = Json::Parse(file.metadata.at("preprocessing"), "preprocessing");
    EXPECT_EQ(preprocessing.GetInt64("resize"), 40);
    EXPECT_EQ(preprocessing.Get("mean").AsDoubleList(), (std::vector<double>{0.5, 0.4, 0.3}));
    EXPECT_EQ(file.metadata.count("architecture"), 0u);
  }
  EXPECT_EQ(Export(script, R"({"classes": ["a", "b", "c"]})").metadata.at("classes"), R"(["a","b","c"])");
}

TEST_F(ExportTest, AModelJsonOfOtherClassesIsRefused) {
  const std::string script = MakeScript("def forward(self, x):\n    return x.flatten(1)\n");
  WriteFileAtomic(At("model.json"),
                  R"({"schema_version": 1, "task": "image_classification", "classes": ["ants", "bees", "wasps"]})");
  EXPECT_ERROR(Status::kInvalidArgument, Export(script, R"({"input_shape": [2]})"), "tells 2 classes apart",
               "model.json beside it names 3");
  // An input that is no image has no preprocessing.
  const OnnxFile file = Export(script, R"({"input_shape": [3]})");
  EXPECT_EQ(file.metadata.at("classes"), R"(["ants","bees","wasps"])");
  EXPECT_EQ(file.metadata.count("preprocessing"), 0u);
}

TEST_F(ExportTest, TorchScriptThatCannotBeLoadedNamesTheFile) {
  WriteFileAtomic(At("net.pt"), testing::ScriptZip(testing::ScriptModule()));  // its code is no code
  EXPECT_ERROR(Status::kCorrupt, OpenExportSource(At("net.pt")), "net.pt", "cannot be loaded as TorchScript");
}

TEST_F(ExportTest, MemoryThatIsFilledIsATensorOfItsShape) {
  const OnnxFile file = Export(MakeScript(R"(
    def forward(self, x):
        y = torch.empty([x.size(0), 3])
        y.fill_(2.5)
        z = torch.empty([3])
        z.zero_()
        return x + y + z
  )"),
                               R"({"input_shape": [3]})");
  EXPECT_THAT(file.outputs, ElementsAre("output 1 batch,3"));
  EXPECT_THAT(operators_, ElementsAre("aten::add", "aten::full_like", "aten::zeros_like"));
  EXPECT_ERROR(
      Status::kUnsupported,
      Export(MakeScript("def forward(self, x):\n    return torch.where(x > -1e30, x, torch.empty([x.size(0), 3]))\n"),
             R"({"input_shape": [3]})"),
      "aten::empty", "keep it as a buffer");
}

TEST_F(ExportTest, WhatDependsOnTheBatchIsComputed) {
  const OnnxFile file = Export(MakeScript(R"(
    def forward(self, x):
        token = self.scale.view(1, 1, 1).expand(x.size(0), 1, 3)
        return torch.cat([token, x], 1), torch.zeros([x.size(0), 2])
  )"),
                               R"({"input_shape": [2, 3]})");
  EXPECT_THAT(file.outputs, ElementsAre("output 1 batch,3,3", "output_1 1 batch,2"));
  EXPECT_THAT(file.Operators(), Contains("Shape"));
  EXPECT_THAT(file.Operators(), Contains("Expand"));
}

TEST_F(ExportTest, OutputsThatAreInputsOrStandTwiceHaveNamesToo) {
  const OnnxFile file = Export(MakeScript(R"(
    def forward(self, x):
        y = x + 1
        return x, y, y
  )"),
                               R"({"input_shape": [3]})");
  EXPECT_THAT(file.outputs, ElementsAre("output 1 batch,3", "output_1 1 batch,3", "output_2 1 batch,3"));
}

TEST_F(ExportTest, AnUnsupportedOperatorIsNamedWithItsPlace) {
  const std::string script = MakeScript(R"(
    def forward(self, x):
        y = x * self.scale
        return torch.cdist(y, y)
  )");
  EXPECT_ERROR(Status::kUnsupported, Export(script, R"({"input_shape": [2, 3]})"), "operator aten::cdist", "in forward",
               "express it by other operators");
  EXPECT_FALSE(PathExists(At("out.onnx")));
}

TEST_F(ExportTest, WhatAnOperatorCannotDoIsSaid) {
  EXPECT_ERROR(Status::kUnsupported,
               Export(MakeScript(R"(
    def forward(self, x):
        return torch.avg_pool2d(x, [2, 2], [2, 2], [0, 0], False, True, 3)
  )"),
                      R"({"input_shape": [3, 8, 8]})"),
               "aten::avg_pool2d", "a divisor of one's own");
  EXPECT_ERROR(Status::kUnsupported,
               Export(MakeScript(R"(
    def forward(self, x):
        return torch.dropout(x, 0.5, True) * 0 + x
  )"),
                      R"({"input_shape": [3]})"),
               "aten::dropout", "eval()");
}

TEST_F(ExportTest, InputsThatTheModelDoesNotTakeAreSaid) {
  const std::string script = MakeScript(R"(
    def forward(self, x):
        return torch.matmul(x, torch.ones([5, 2]))
  )");
  EXPECT_ERROR(Status::kUnsupported, Export(script), "[3, 224, 224]", "\"input_shape\"");
  EXPECT_THAT(Export(script, R"({"input_shape": [5]})").outputs, ElementsAre("output 1 batch,2"));
}

TEST_F(ExportTest, OptionsAreChecked) {
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"opsett": 17})"), "opsett", "opset");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse("[]"), "options");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"opset": true})"), "options.opset");
  EXPECT_ERROR(Status::kUnsupported, OnnxOptions::Parse(R"({"opset": 12})"), "12", "13 to 20");
  EXPECT_ERROR(Status::kUnsupported, OnnxOptions::Parse(R"({"opset": 21})"), "21", "13 to 20");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"batch_size": 4})"), "dynamic_batch");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"mean": [1]})"), "options.mean", "3 numbers");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"std": [1, 0, 1]})"), "options.std");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"input_type": "flaot32"})"), "did you mean 'float32'");
  EXPECT_ERROR(Status::kInvalidArgument, OnnxOptions::Parse(R"({"input_shape": []})"), "input_shape");
}

TEST_F(ExportTest, OptionsMustFitTheModel) {
  const std::string model = MakeModelDirectory("squeezenet1_1");
  EXPECT_ERROR(Status::kInvalidArgument, Export(model, R"({"classes": ["one"]})"), "names 1 classes", "3 apart");
  const std::string script = MakeScript("def forward(self, x):\n    return x + 1\n");
  EXPECT_ERROR(Status::kInvalidArgument, Export(script, R"({"preprocessing": true, "input_shape": [1, 8, 8]})"),
               "[1, 8, 8]");
  EXPECT_ERROR(Status::kInvalidArgument, Export(script, R"({"softmax": true})"), "options.softmax");
}

TEST_F(ExportTest, ModelsThatAreNoneAreErrors) {
  EXPECT_ERROR(Status::kNotFound, OpenExportSource(At("nothing")), At("nothing"));
  EXPECT_ERROR(Status::kNotFound, OpenExportSource(directory_.path()), "model.json");
  WriteFileAtomic(At("text.pth"), "no weights");
  EXPECT_ERROR(Status::kUnsupported, OpenExportSource(At("text.pth")), "text.pth");
  const std::string two = MakeScript("def forward(self, x, y):\n    return x + y\n");
  EXPECT_ERROR(Status::kUnsupported, OpenExportSource(two), "takes 2 inputs");
}

TEST_F(ExportTest, TheFileIsWrittenWholeOrNotAtAll) {
  const std::string model = MakeModelDirectory("squeezenet1_1");
  const ExportSource source = OpenExportSource(model);
  EXPECT_ERROR(Status::kNotFound, ExportOnnx(source, {}, At("absent/out.onnx")), At("absent"), "make it first");
  EXPECT_ERROR(Status::kInvalidArgument, ExportOnnx(source, {}, directory_.path()), "is a directory");
  WriteFileAtomic(At("out.onnx"), "older");
  EXPECT_ERROR(
      Status::kUnsupported,
      Export(MakeScript("def forward(self, x):\n    return torch.cdist(x, x)\n"), R"({"input_shape": [2, 3]})"),
      "aten::cdist");
  EXPECT_EQ(ReadFile(At("out.onnx")), "older");
}

}  // namespace
}  // namespace trainyard
