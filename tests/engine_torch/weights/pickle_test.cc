#include "engine_torch/weights/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/torch_globals.h"

namespace trainyard {
namespace {

using Kind = PickleValue::Kind;
using testing::Pickle;
using testing::Raw;

PickleDocument Read(const std::string &bytes) {
  return ReadPickle(AsBytes(bytes), "x.pkl", TorchGlobalVerdict);
}

TEST(PickleTest, ReadsPlainValues) {
  const std::string bytes = Pickle()
                                .Add("](")
                                .Add("N\x88\x89K\x05M")
                                .Add(Raw(uint16_t{300}))
                                .Add("J" + Raw(int32_t{-7}))
                                .Int(int64_t{1} << 40)
                                .Add(std::string("G\x3f\xf8\0\0\0\0\0\0", 9))
                                .Text("text")
                                .Add("C\x02hi")
                                .Add("e")
                                .Stop();
  const PickleDocument document = Read(bytes);
  const std::vector<PickleValue *> &items = document.root->items;
  ASSERT_EQ(items.size(), 10U);
  EXPECT_TRUE(items[0]->Is(Kind::kNone));
  EXPECT_EQ(items[1]->integer, 1);
  EXPECT_TRUE(items[2]->Is(Kind::kBool));
  EXPECT_EQ(items[3]->integer, 5);
  EXPECT_EQ(items[4]->integer, 300);
  EXPECT_EQ(items[5]->integer, -7);
  EXPECT_EQ(items[6]->integer, int64_t{1} << 40);
  EXPECT_EQ(items[7]->real, 1.5);
  EXPECT_EQ(items[8]->text, "text");
  EXPECT_EQ(items[9]->text, "hi");
  EXPECT_EQ(document.end, bytes.size());
}

TEST(PickleTest, ReadsProtocolZeroText) {
  const PickleDocument document = Read("(lp0\nI42\naI01\naF1.5\naS'one'\naL7L\na.");
  ASSERT_EQ(document.root->items.size(), 5U);
  EXPECT_EQ(document.root->items[0]->integer, 42);
  EXPECT_TRUE(document.root->items[1]->Is(Kind::kBool));
  EXPECT_EQ(document.root->items[2]->real, 1.5);
  EXPECT_EQ(document.root->items[3]->text, "one");
  EXPECT_EQ(document.root->items[4]->integer, 7);
}

TEST(PickleTest, KeepsSharedAndCyclicValuesOnce) {
  // A list that holds itself twice.
  const PickleDocument document = Read(
      "\x80\x02]q\x01(h\x01h\x01"
      "e.");
  ASSERT_EQ(document.root->items.size(), 2U);
  EXPECT_EQ(document.root->items[0], document.root);
}

TEST(PickleTest, RecordsCallsWithoutMakingThem) {
  const PickleDocument document = Read(Pickle().Global("torch", "Size").Ints({2, 3}).Add("\x85R").Stop());
  ASSERT_TRUE(document.root->Is(Kind::kObject));
  EXPECT_EQ(document.root->callable->text, "torch.Size");
}

TEST(PickleTest, RefusesSystemImportsByName) {
  for (const char *name : {"os\nsystem", "posix\nsystem", "subprocess\nPopen", "builtins\neval", "__builtin__\nexec",
                           "importlib\nimport_module", "os.path\njoin"}) {
    std::string dotted = name;
    dotted.replace(dotted.find('\n'), 1, ".");
    EXPECT_ERROR(Status::kUnsupported, Read(std::string("c") + name + "\n(X\x02\0\0\0ls"), "'" + dotted + "'",
                 "nothing was executed");
  }
}

TEST(PickleTest, RefusesDottedNamesThatWalkOutOfAnAllowedModule) {
  EXPECT_ERROR(Status::kUnsupported, Read("\x80\x04\x8c\x17torch.nn.modules.module\x8c\x09os.system\x93."),
               "torch.nn.modules.module.os.system");
}

TEST(PickleTest, RefusesToCallAnUnknownName) {
  EXPECT_ERROR(Status::kUnsupported, Read(Pickle().Global("evil", "run").Add(")R").Stop()), "'evil.run'");
  EXPECT_ERROR(Status::kUnsupported, Read("(ievil\nrun\n."), "'evil.run'");
  EXPECT_ERROR(Status::kUnsupported, Read("(cevil\nrun\no."), "'evil.run'");
}

TEST(PickleTest, EveryTruncationIsAnError) {
  Pickle pickle;
  testing::AddStateDict(&pickle);
  const std::string bytes = pickle.Stop();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_ERROR(Status::kCorrupt, Read(bytes.substr(0, size)), "'x.pkl' is truncated",
                 std::to_string(size) + " present");
  }
}

TEST(PickleTest, RefusesDamage) {
  const std::string huge = Raw(uint64_t{0xffffffffffffffff});
  for (const std::string &bytes :
       {std::string("."), std::string("a."), std::string("0."), std::string("t."), std::string("(."),
        std::string("h\x05."), std::string("]K\x01K\x02s."), std::string("}(K\x01u."), std::string("\x93."),
        std::string("\x80\x09."), std::string("\xff"), std::string("Iabc\n."), "\x8d" + huge, "T" + Raw(int32_t{-1}),
        std::string("(o."), std::string("K\x01K\x02\x93.")}) {
    EXPECT_ERROR(Status::kCorrupt, Read(bytes), "x.pkl");
  }
}

TEST(PickleTest, BoundsTheNumberOfValues) {
  EXPECT_ERROR(Status::kUnsupported, Read(std::string(2'100'000, 'N')), "more than 2000000 values");
  EXPECT_ERROR(Status::kCorrupt, Read(std::string(20'000, '(')), "nested too deep");
}

TEST(TorchGlobalsTest, KnowsWhatTorchSaveWrites) {
  EXPECT_EQ(TorchGlobalVerdict("torch", "FloatStorage"), GlobalVerdict::kAllow);
  EXPECT_EQ(TorchGlobalVerdict("torch.storage", "UntypedStorage"), GlobalVerdict::kAllow);
  EXPECT_EQ(TorchGlobalVerdict("torch", "float16"), GlobalVerdict::kAllow);
  EXPECT_EQ(TorchGlobalVerdict("torch.nn.modules.conv", "Conv2d"), GlobalVerdict::kAllow);
  EXPECT_EQ(TorchGlobalVerdict("torchvision.models.resnet", "BasicBlock"), GlobalVerdict::kAllow);
  EXPECT_EQ(TorchGlobalVerdict("__builtin__", "set"), GlobalVerdict::kAllow);
  EXPECT_EQ(TorchGlobalVerdict("torchvision.models.resnet", "load_state_dict_from_url"), GlobalVerdict::kUnknown);
  EXPECT_EQ(TorchGlobalVerdict("torch", "load"), GlobalVerdict::kUnknown);
  EXPECT_EQ(TorchGlobalVerdict("torch.storage", "_load_from_bytes"), GlobalVerdict::kUnknown);
  EXPECT_EQ(TorchGlobalVerdict("__main__", "Net"), GlobalVerdict::kUnknown);
  EXPECT_EQ(TorchGlobalVerdict("builtins", "getattr"), GlobalVerdict::kRefuse);
}

}  // namespace
}  // namespace trainyard
