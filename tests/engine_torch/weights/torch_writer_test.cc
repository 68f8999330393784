// What is written for torch.load, read back by the engine's own reader (weights_parity.py has Python read it).
#include "engine_torch/weights/torch_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <deque>
#include <limits>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/pickle.h"
#include "engine_torch/weights/pickle_writer.h"
#include "engine_torch/weights/torch_file.h"
#include "engine_torch/weights/torch_globals.h"
#include "engine_torch/weights/zip_directory.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using testing::Floats;
using testing::Raw;

NamedTensor Tensor(const std::string &name, DType dtype, std::vector<int64_t> shape, Bytes data,
                   std::vector<int64_t> strides = {}) {
  return {name, dtype, std::move(shape), std::move(strides), data};
}

std::string Archive(const TorchValue &value) {
  std::string bytes;
  WriteTorchArchive(value, "x.pth",
                    [&bytes](const void *data, size_t size) { bytes.append(static_cast<const char *>(data), size); });
  return bytes;
}

TensorFile Parse(const std::string &bytes) {
  return ParseTorchZip(AsBytes(bytes), "x.pth", nullptr);
}

PickleDocument ReadBack(const TorchValue &value) {
  const std::string bytes = Archive(value);
  const ZipDirectory zip = ReadZipDirectory(AsBytes(bytes), "x.pth");
  return ReadPickle(zip.Find("archive/data.pkl")->bytes, "x.pth", TorchGlobalVerdict);
}

TEST(PickleWriterTest, EveryPlainValueIsReadBack) {
  TorchList list = {TorchValue(), true, false, 0.1, -std::numeric_limits<double>::infinity(), "text", "\xc3\xa9", ""};
  std::vector<int64_t> numbers = {0, 1, 255, 256, 65535, 65536, -1, 2147483647, -2147483648, 2147483648};
  numbers.push_back(std::numeric_limits<int64_t>::min());
  numbers.push_back(std::numeric_limits<int64_t>::max());
  for (const int64_t number : numbers) list.emplace_back(number);
  TorchDict dict;
  dict.Set(int64_t{3}, "three");
  dict.Set("list", TorchList());
  list.emplace_back(std::move(dict));
  const PickleDocument document = ReadBack(std::move(list));
  using Kind = PickleValue::Kind;
  const std::vector<PickleValue *> &items = document.root->items;
  ASSERT_EQ(items.size(), 21U);
  EXPECT_TRUE(items[0]->Is(Kind::kNone));
  EXPECT_TRUE(items[1]->Is(Kind::kBool) && items[1]->integer == 1);
  EXPECT_TRUE(items[2]->Is(Kind::kBool) && items[2]->integer == 0);
  EXPECT_DOUBLE_EQ(items[3]->real, 0.1);
  EXPECT_EQ(items[4]->real, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(items[5]->text, "text");
  EXPECT_EQ(items[6]->text, "\xc3\xa9");
  EXPECT_TRUE(items[7]->Is(Kind::kString) && items[7]->text.empty());
  for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(items[8 + i]->integer, numbers[i]);
  ASSERT_EQ(items[20]->entries.size(), 2U);
  EXPECT_EQ(items[20]->entries[0].first->integer, 3);
  EXPECT_TRUE(items[20]->Find("list")->Is(Kind::kList));
}

TEST(PickleWriterTest, NamesAreWrittenOnceAndTextMustBeUtf8) {
  PickleWriter pickle;
  pickle.Mark();
  pickle.Global("collections", "OrderedDict");
  pickle.Global("torch", "FloatStorage");
  pickle.Global("collections", "OrderedDict");
  pickle.Tuple();
  const std::string bytes = pickle.Finish();
  EXPECT_EQ(bytes.find("OrderedDict"), bytes.rfind("OrderedDict"));
  const PickleDocument document = ReadPickle(AsBytes(bytes), "x", TorchGlobalVerdict);
  ASSERT_EQ(document.root->items.size(), 3U);
  EXPECT_EQ(document.root->items[2]->text, "collections.OrderedDict");
  EXPECT_ERROR(Status::kInvalidArgument, PickleWriter().String("a\xff"), "UTF-8");
}

TEST(TorchWriterTest, EveryTypeShapeAndStrideIsReadBack) {
  const std::string floats = Floats(24);
  const Bytes bytes = AsBytes(floats);
  const std::vector<NamedTensor> tensors = {
      Tensor("f64", DType::kFloat64, {3}, bytes.first(24)),
      Tensor("f32", DType::kFloat32, {2, 3}, bytes.first(24)),
      Tensor("f16", DType::kFloat16, {5}, bytes.first(10)),
      Tensor("bf16", DType::kBFloat16, {5}, bytes.first(10)),
      Tensor("i64", DType::kInt64, {}, bytes.first(8)),
      Tensor("i32", DType::kInt32, {1, 1}, bytes.first(4)),
      Tensor("i16", DType::kInt16, {2}, bytes.first(4)),
      Tensor("i8", DType::kInt8, {3}, bytes.first(3)),
      Tensor("u8", DType::kUInt8, {3}, bytes.first(3)),
      Tensor("bool", DType::kBool, {2}, bytes.first(2)),
      Tensor("empty", DType::kFloat32, {0, 4}, {}),
      Tensor("transposed", DType::kFloat32, {3, 2}, bytes.first(24), {1, 3}),
      Tensor("expanded", DType::kFloat32, {4, 2}, bytes.first(8), {0, 1}),
      Tensor("gaps", DType::kFloat32, {2, 2}, bytes.subspan(4, 24), {4, 1}),
  };
  const std::string written = Archive(StateDictOf(tensors));
  EXPECT_EQ(written, Archive(StateDictOf(tensors)));
  const TensorFile file = Parse(written);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const NamedTensor &want = tensors[i];
    const NamedTensor &got = file.tensors[i];
    EXPECT_EQ(got.name, want.name);
    EXPECT_EQ(got.dtype, want.dtype) << want.name;
    EXPECT_EQ(got.shape, want.shape) << want.name;
    EXPECT_EQ(got.strides, want.strides) << want.name;
    EXPECT_EQ(AsText(got.data), AsText(want.data)) << want.name;
    EXPECT_EQ(ContiguousBytes(got), ContiguousBytes(want)) << want.name;
  }
}

TEST(TorchWriterTest, TensorsThatOverlapShareAStorageAndNothingIsWrittenTwice) {
  const std::string floats = Floats(100'000);
  const Bytes bytes = AsBytes(floats);
  const std::vector<NamedTensor> tensors = {
      Tensor("tail", DType::kFloat32, {4}, bytes.subspan(80, 16)),
      Tensor("whole", DType::kFloat32, {100'000}, bytes),
      Tensor("tied", DType::kFloat32, {100'000}, bytes),
      Tensor("empty", DType::kFloat32, {0}, bytes.subspan(40, 0)),
      Tensor("other type", DType::kInt32, {2}, bytes.first(8)),
  };
  const std::string written = Archive(StateDictOf(tensors));
  EXPECT_LT(written.size(), bytes.size() + 10'000);
  const TensorFile file = Parse(written);
  const auto *begin = file.Find("whole")->data.data();
  EXPECT_EQ(file.Find("tied")->data.data(), begin);
  EXPECT_EQ(file.Find("tail")->data.data(), begin + 80);
  EXPECT_EQ(AsText(file.Find("other type")->data), AsText(bytes.first(8)));
}

TEST(TorchWriterTest, StoragesLieWhereTorchSaveWouldPutThem) {
  const std::string floats = Floats(3);
  std::deque<std::string> copies(20, floats);
  std::vector<NamedTensor> tensors;
  for (const std::string &copy : copies)
    tensors.push_back(Tensor(std::to_string(tensors.size()), DType::kFloat32, {3}, AsBytes(copy)));
  const std::string written = Archive(StateDictOf(tensors));
  const ZipDirectory zip = ReadZipDirectory(AsBytes(written), "x.pth");
  EXPECT_EQ(zip.entries.size(), 25U);
  for (const auto &[name, entry] : zip.entries) {
    EXPECT_EQ((entry.bytes.data() - AsBytes(written).data()) % 64, 0) << name;
  }
  EXPECT_EQ(AsText(zip.Find("archive/byteorder")->bytes), "little");
  EXPECT_EQ(AsText(zip.Find("archive/.format_version")->bytes), "1");
  EXPECT_EQ(AsText(zip.Find("archive/version")->bytes), "3\n");
}

TEST(TorchWriterTest, MoreEntriesThanAPlainZipCanHold) {
  constexpr int64_t kCount = 70'000;
  std::vector<int64_t> values(kCount);
  std::vector<NamedTensor> tensors;
  for (int64_t i = 0; i < kCount; ++i) values[static_cast<size_t>(i)] = i;
  const Bytes bytes = std::as_bytes(std::span(values));
  for (size_t i = 0; i < static_cast<size_t>(kCount); ++i)
    tensors.push_back(Tensor("t" + std::to_string(i), DType::kInt64, {}, bytes.subspan(i * 8, 8)));
  const std::string written = Archive(StateDictOf(tensors));
  const TensorFile file = Parse(written);
  ASSERT_EQ(file.tensors.size(), static_cast<size_t>(kCount));
  for (size_t i = 0; i < file.tensors.size(); ++i)
    ASSERT_EQ(LoadLittleEndian<int64_t>(file.tensors[i].data, 0), static_cast<int64_t>(i));
}

TEST(TorchWriterTest, RefusesWhatWouldBeReadWrong) {
  const testing::TempDirectory directory;
  const std::filesystem::path path = directory.Write("m.pth", "old");
  const std::string floats = Floats(2);
  const NamedTensor good = Tensor("a", DType::kFloat32, {2}, AsBytes(floats));
  const NamedTensor large = Tensor("a", DType::kFloat32, {3}, AsBytes(floats));
  const NamedTensor named = Tensor("\xff", DType::kFloat32, {2}, AsBytes(floats));
  EXPECT_ERROR(Status::kInvalidArgument, WriteTorchFile(path, &large), "m.pth", "'a' do not fit its shape");
  EXPECT_ERROR(Status::kInvalidArgument, StateDictOf(std::vector<NamedTensor>{good, good}), "'a' is there twice");
  EXPECT_ERROR(Status::kInvalidArgument, WriteTorchFile(path, StateDictOf({&named, 1})), "\xEF\xBF\xBD", "UTF-8");
  EXPECT_ERROR(Status::kNotFound, WriteTorchFile(directory / "no/such/m.pth", &good), "no/such");
  EXPECT_EQ(ReadFile(path), "old");
  WriteTorchFile(path, StateDictOf({&good, 1}));
  EXPECT_EQ(AsText(OpenWeights(path).tensors.at(0).data), floats);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

}  // namespace
}  // namespace trainyard
