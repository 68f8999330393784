#include "engine_torch/weights/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"

namespace trainyard {
namespace {

using testing::AddStateDict;
using testing::Pickle;
using testing::Raw;
using testing::TorchLegacy;
using testing::TorchZip;
using testing::Zip;

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

// Keeps the bytes in an allocation of exactly their size, so that AddressSanitizer sees every step outside.
TensorFile Parse(const std::string &bytes) {
  auto copy = std::make_shared<std::vector<char>>(bytes.begin(), bytes.end());
  const Bytes view = std::as_bytes(std::span(copy->data(), copy->size()));
  return bytes.starts_with("PK") ? ParseTorchZip(view, "x.pth", copy) : ParseTorchLegacy(view, "x.pth", copy);
}

std::string StateDict(const std::string &prefix = "") {
  Pickle pickle;
  return AddStateDict(&pickle, prefix).Stop();
}

void ExpectTheStateDict(const TensorFile &file) {
  ASSERT_EQ(file.tensors.size(), 3U);
  EXPECT_EQ(file.tensors[0].name, "weight");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(file.tensors[0].strides.empty());
  EXPECT_EQ(AsText(file.tensors[0].data), testing::Floats(6));
  EXPECT_EQ(file.tensors[1].name, "bias");
  EXPECT_EQ(AsText(file.tensors[1].data), testing::Floats(8).substr(24));
  EXPECT_EQ(file.tensors[2].name, "steps");
  EXPECT_EQ(file.tensors[2].dtype, DType::kInt64);
  EXPECT_EQ(AsText(file.tensors[2].data), Raw(int64_t{7}));
}

TEST(TorchFileTest, ReadsZipAndLegacyStateDicts) {
  ExpectTheStateDict(Parse(TorchZip(StateDict())));
  ExpectTheStateDict(Parse(TorchLegacy(StateDict())));
}

TEST(TorchFileTest, TakesWrapperPrefixesOff) {
  ExpectTheStateDict(Parse(TorchZip(StateDict("module."))));
  ExpectTheStateDict(Parse(TorchZip(StateDict("_orig_mod."))));
  ExpectTheStateDict(Parse(TorchZip(StateDict("module._orig_mod."))));
}

TEST(TorchFileTest, FindsTheStateDictOfACheckpoint) {
  Pickle pickle;
  pickle.Add("}(").Text("epoch").Int(3).Text("ema");
  AddStateDict(&pickle, "ema.").Text("model_state_dict");
  AddStateDict(&pickle).Add("u");
  const TensorFile file = Parse(TorchZip(pickle.Stop()));
  ExpectTheStateDict(file);
  EXPECT_EQ(file.state_dict_key, "model_state_dict");
  EXPECT_EQ(file.other_keys, std::vector<std::string>{"ema"});
}

TEST(TorchFileTest, NamesTheKeysOfAnAmbiguousCheckpoint) {
  Pickle pickle;
  pickle.Add("}(").Text("generator");
  AddStateDict(&pickle).Text("critic");
  AddStateDict(&pickle).Add("u");
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchZip(pickle.Stop())), "'generator', 'critic'");
}

TEST(TorchFileTest, NamesTheKeysOfAFileWithoutTensors) {
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchZip(Pickle().Add("}(").Text("lr").Int(1).Add("u").Stop())), "'lr'");
}

// A module with one parameter, one persistent and one transient buffer and, perhaps, a child.
void AddModule(Pickle *pickle, const std::string &module, const std::string &name, bool with_child) {
  pickle->Global(module, name).Add(")\x81}(");
  pickle->Text("training").Add("\x88");
  pickle->Text("_parameters").EmptyOrderedDict().Add("(");
  pickle->Text("weight").Global("torch._utils", "_rebuild_parameter").Add("(");
  pickle->Tensor("FloatStorage", "0", 8, 0, {2, 3}, {3, 1}).Add("\x88").EmptyOrderedDict().Add("tR");
  pickle->Text("bias").Add("Nu");
  pickle->Text("_buffers").EmptyOrderedDict().Add("(");
  pickle->Text("mean").Tensor("FloatStorage", "0", 8, 0, {2}, {1});
  pickle->Text("cache").Tensor("FloatStorage", "0", 8, 0, {2}, {1}).Add("u");
  pickle->Text("_non_persistent_buffers_set").Global("__builtin__", "set").Add("](").Text("cache").Add("e\x85R");
  pickle->Text("_modules").EmptyOrderedDict();
  if (with_child) {
    pickle->Add("(").Text("child");
    AddModule(pickle, "torch.nn.modules.linear", "Linear", false);
    pickle->Add("u");
  }
  pickle->Add("ub");
}

TEST(TorchFileTest, WalksWholeModulesOfUnknownClasses) {
  Pickle pickle;
  AddModule(&pickle, "__main__", "Net", true);
  const TensorFile file = Parse(TorchZip(pickle.Stop()));
  EXPECT_EQ(file.model_class, "__main__.Net");
  std::vector<std::string> names;
  for (const NamedTensor &tensor : file.tensors) names.push_back(tensor.name);
  EXPECT_THAT(names, ::testing::ElementsAre("weight", "mean", "child.weight", "child.mean"));
}

TEST(TorchFileTest, LooksThroughDataParallel) {
  Pickle pickle;
  pickle.Global("torch.nn.parallel.data_parallel", "DataParallel").Add(")\x81}(");
  pickle.Text("_parameters").Add("}").Text("_buffers").Add("}").Text("_modules").Add("}(").Text("module");
  AddModule(&pickle, "torchvision.models.resnet", "ResNet", false);
  const TensorFile file = Parse(TorchZip(pickle.Add("uub").Stop()));
  EXPECT_EQ(file.model_class, "torchvision.models.resnet.ResNet");
  EXPECT_EQ(file.tensors[0].name, "weight");
}

TEST(TorchFileTest, ReadsTheParametersOfTorchScriptModules) {
  const TensorFile file = Parse(testing::ScriptZip(testing::ScriptModule()));
  EXPECT_EQ(file.format, "torchscript");
  EXPECT_EQ(file.model_class, "net.Net");
  ASSERT_EQ(file.tensors.size(), 3U);
  EXPECT_EQ(file.tensors[0].name, "weight");
  EXPECT_EQ(AsText(file.tensors[0].data), testing::Floats(6));
  EXPECT_EQ(file.tensors[1].name, "inner.bias");
  EXPECT_EQ(file.tensors[2].name, "inner.steps");
  EXPECT_EQ(AsText(file.tensors[2].data), Raw(int64_t{7}));
}

TEST(TorchFileTest, TorchScriptModulesAreBoundedAndImportNothing) {
  Pickle evil;
  evil.Global("__torch__", "Net").Add(")\x81}(").Text("x").Global("posix", "system").Text("true").Add("\x85Rub");
  EXPECT_ERROR(Status::kUnsupported, Parse(testing::ScriptZip(evil.Stop())), "'posix.system'", "nothing was executed");
  Pickle cycle;
  cycle.Global("__torch__", "Net").Add(")\x81q").Add(std::string(1, '\0')).Add("}(").Text("self").Add("h");
  cycle.Add(std::string(1, '\0')).Add("ub");
  EXPECT_ERROR(Status::kCorrupt, Parse(testing::ScriptZip(cycle.Stop())), "nested too deep");
  Pickle frozen;
  frozen.Global("__torch__", "Net").Add(")\x81}(").Text("training").Add("\x89ub");
  EXPECT_ERROR(Status::kUnsupported, Parse(testing::ScriptZip(frozen.Stop())), "without any parameter", "frozen");
}

TEST(TorchFileTest, TellsTorchScriptFromOtherFiles) {
  const testing::TempDirectory directory;
  EXPECT_TRUE(IsTorchScript(directory.Write("a.pt", testing::ScriptZip(testing::ScriptModule()))));
  EXPECT_FALSE(IsTorchScript(directory.Write("b.pt", TorchZip(StateDict()))));
  EXPECT_FALSE(IsTorchScript(directory.Write("c.pt", TorchLegacy(StateDict()))));
  EXPECT_FALSE(IsTorchScript(directory.Write("d.pt", "")));
  EXPECT_ERROR(Status::kNotFound, IsTorchScript(directory / "none.pt"), "none.pt");
}

TEST(TorchFileTest, RefusesUnknownObjectsInsideAModule) {
  Pickle pickle;
  pickle.Add("}(").Text("model");
  AddModule(&pickle, "__main__", "Net", false);
  pickle.Text("config").Global("__main__", "Config").Add(")\x81}bu");
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchZip(pickle.Stop())), "'__main__.Config'", "nothing was executed");
}

TEST(TorchFileTest, RefusesImportsInEveryFormat) {
  const std::string evil = Pickle().Global("posix", "system").Text("touch /tmp/owned").Add("\x85R").Stop();
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchZip(evil)), "'posix.system'", "nothing was executed");
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchLegacy(evil)), "'posix.system'");
  EXPECT_ERROR(Status::kUnsupported, Parse(evil), "'posix.system'");  // a bare pickle
  const std::string bare_name = Pickle().Add("}(").Text("x").Global("evil", "thing").Add("u").Stop();
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchZip(bare_name)), "'evil.thing'");
}

TEST(TorchFileTest, SharesStoragesAndKeepsStrides) {
  Pickle pickle;
  pickle.EmptyOrderedDict().Add("(");
  pickle.Text("a").Tensor("FloatStorage", "0", 8, 0, {2, 3}, {3, 1});
  pickle.Text("transposed").Tensor("FloatStorage", "0", 8, 0, {3, 2}, {1, 3});
  pickle.Text("empty").Tensor("FloatStorage", "0", 8, 0, {0, 5}, {5, 1}).Add("u");
  const TensorFile file = Parse(TorchZip(pickle.Stop()));
  EXPECT_EQ(file.tensors[0].data.data(), file.tensors[1].data.data());
  EXPECT_EQ(file.tensors[1].strides, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(file.tensors[1].data.size(), 24U);
  EXPECT_EQ(file.tensors[2].data.size(), 0U);
}

TEST(TorchFileTest, ChecksEveryBoundOfATensor) {
  struct Case {
    int64_t elements, offset;
    std::vector<int64_t> shape, strides;
  };
  for (const Case &bad :
       {Case{8, 0, {9}, {1}}, Case{8, 3, {2, 3}, {3, 1}}, Case{8, -1, {2}, {1}}, Case{8, 0, {-2}, {1}},
        Case{8, 0, {2}, {-1}}, Case{8, 0, {2, 3}, {1}}, Case{8, kLargest, {2}, {1}}, Case{8, 0, {2}, {kLargest}},
        Case{8, 0, {kLargest, kLargest}, {0, 0}}, Case{8, 0, {kLargest}, {0}}, Case{9, 0, {9}, {1}},
        Case{-1, 0, {1}, {1}}, Case{kLargest, 0, {2}, {1}}, Case{8, 0, {3, 3}, {3, 2}}}) {
    Pickle pickle;
    pickle.Add("}(").Text("w").Tensor("FloatStorage", "0", bad.elements, bad.offset, bad.shape, bad.strides).Add("u");
    EXPECT_ERROR(Status::kCorrupt, Parse(TorchZip(pickle.Stop())), "'x.pth'", "'w'");
  }
}

TEST(TorchFileTest, NamesWhatItCannotRead) {
  const auto tensor = [](const std::string &type, const std::string &key) {
    Pickle pickle;
    pickle.Add("}(").Text("w").Tensor(type, key, 1, 0, {1}, {1}).Add("u");
    return pickle.Stop();
  };
  EXPECT_ERROR(Status::kUnsupported, Parse(TorchZip(tensor("ComplexFloatStorage", "0"))), "torch.ComplexFloatStorage");
  EXPECT_ERROR(Status::kCorrupt, Parse(TorchZip(tensor("FloatStorage", "7"))), "storage '7' of tensor 'w' is missing");
  EXPECT_EQ(Parse(TorchZip(tensor("BFloat16Storage", "0"))).tensors[0].dtype, DType::kBFloat16);
  EXPECT_ERROR(Status::kUnsupported, Parse(testing::ScriptZip(StateDict())), "TorchScript", "other than a module");
  EXPECT_ERROR(Status::kUnsupported, Parse(Zip().Add("arr_0.npy", "").Finish()), "NumPy");
  EXPECT_ERROR(Status::kUnsupported, Parse(Zip().Add("readme.txt", "").Finish()), "without data.pkl");
  EXPECT_ERROR(Status::kUnsupported, Parse(Zip().Add("a/data.pkl", "x", 8).Finish()), "compressed");
  EXPECT_ERROR(Status::kUnsupported, Parse(Zip().Add("a/data.pkl", StateDict()).Add("a/byteorder", "big").Finish()),
               "big-endian");
  EXPECT_ERROR(Status::kUnsupported, Parse(Pickle().Add("}").Stop()), "plain pickle");
}

TEST(TorchFileTest, EveryTruncationIsAnErrorThatSaysHowMuchIsThere) {
  for (const std::string &bytes : {TorchZip(StateDict()), TorchLegacy(StateDict())}) {
    for (size_t size = 2; size < bytes.size(); ++size) {
      const auto error = testing::ErrorOf([&] { Parse(bytes.substr(0, size)); });
      ASSERT_TRUE(error.has_value()) << size;
      EXPECT_EQ(static_cast<int>(error->status()), static_cast<int>(Status::kCorrupt)) << error->what();
      EXPECT_THAT(error->what(), ::testing::HasSubstr("'x.pth' is truncated"));
      EXPECT_EQ(error->details().at("present_bytes"), std::to_string(size));
      EXPECT_GT(std::stoull(error->details().at("expected_bytes")), size);
    }
  }
}

TEST(TorchFileTest, EveryFlippedByteIsReadOrRefused) {
  for (const std::string &good : {TorchZip(StateDict()), TorchLegacy(StateDict())}) {
    for (size_t i = 2; i < good.size(); ++i) {
      for (const char value : {'\0', '\xff', '\x7f'}) {
        std::string bytes = good;
        bytes[i] = value;
        testing::ErrorOf([&] { Parse(bytes); });  // no crash; any other exception fails the test
      }
    }
  }
}

}  // namespace
}  // namespace trainyard
