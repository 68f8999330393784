// Files at the formats' limits.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/safetensors.h"
#include "engine_torch/weights/torch_writer.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using testing::Floats;

NamedTensor Tensor(const std::string &name, DType dtype, std::vector<int64_t> shape, Bytes data) {
  return {name, dtype, std::move(shape), {}, data};
}

// Zeros that take no memory and, in a file with holes, no disk.
TEST(LargeTest, StoragesOfMoreThanFourGigabytes) {
  constexpr size_t kLarge = (size_t{4} << 30) + 1000;
  void *zeros = mmap(nullptr, kLarge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(zeros, MAP_FAILED);
  const std::string floats = Floats(6);
  const std::vector<NamedTensor> tensors = {
      Tensor("before", DType::kFloat32, {6}, AsBytes(floats)),
      Tensor("large", DType::kUInt8, {kLarge}, {static_cast<const std::byte *>(zeros), kLarge}),
      Tensor("after", DType::kFloat32, {3}, AsBytes(floats).first(12)),
  };
  const TempDir directory;
  const std::string path = JoinPath(directory.path(), "large.pth");
  {
    const UniqueFd file = OpenFile(path, O_RDWR | O_CREAT, 0600);
    off_t end = 0;
    WriteTorchArchive(StateDictOf(tensors), path, [&](const void *data, size_t size) {
      if (size < kLarge) WriteAll(file.get(), data, size, path);
      end += static_cast<off_t>(size);
      ASSERT_EQ(lseek(file.get(), end, SEEK_SET), end);
    });
  }
  munmap(zeros, kLarge);
  const TensorFile file = OpenWeights(path);
  ASSERT_EQ(file.tensors.size(), 3U);
  EXPECT_EQ(file.tensors[1].data.size(), kLarge);
  EXPECT_EQ(file.tensors[1].data.back(), std::byte{0});
  EXPECT_EQ(AsText(file.tensors[0].data), floats);
  EXPECT_EQ(AsText(file.tensors[2].data), floats.substr(0, 12));
}

TEST(LargeTest, ASafetensorsHeaderThatNobodyReadsIsNotWritten) {
  const testing::TempDirectory directory;
  const std::string floats = Floats(2);
  const std::vector<NamedTensor> tensors = {
      Tensor(std::string(100'000'000, 'n'), DType::kFloat32, {2}, AsBytes(floats))};
  EXPECT_ERROR(Status::kUnsupported, WriteSafetensors(directory / "m.safetensors", tensors), "m.safetensors", "100 MB");
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace trainyard
