// The reader of .npy files: what numpy.save writes, and what it must not take for that.
#include "engine_torch/weights/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using testing::Floats;
using ::testing::IsEmpty;
using testing::Npy;
using testing::NpyOfHeader;
using testing::Raw;

NamedTensor Parse(const std::string &bytes) {
  return ParseNpy(AsBytes(bytes), "x.npy");
}

TEST(NpyTest, ReadsWhatNumpySaves) {
  const std::string matrix = Npy("<f4", "(2, 3)", Floats(6));
  const NamedTensor tensor = Parse(matrix);
  EXPECT_EQ(tensor.dtype, DType::kFloat32);
  EXPECT_THAT(tensor.shape, ElementsAre(2, 3));
  EXPECT_EQ(AsText(tensor.data), Floats(6));
  EXPECT_TRUE(tensor.IsContiguous());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data.data()) - reinterpret_cast<uintptr_t>(matrix.data()), 128u)
      << "the elements lie where numpy aligns them";
}

TEST(NpyTest, ReadsEveryTypeOfNumber) {
  struct Case {
    const char *descr;
    DType dtype;
    size_t bytes;
  };
  for (const Case &one :
       {Case{"<f8", DType::kFloat64, 8}, Case{"<f2", DType::kFloat16, 2}, Case{"<i8", DType::kInt64, 8},
        Case{"<i4", DType::kInt32, 4}, Case{"<i2", DType::kInt16, 2}, Case{"|i1", DType::kInt8, 1},
        Case{"<u8", DType::kUInt64, 8}, Case{"<u4", DType::kUInt32, 4}, Case{"<u2", DType::kUInt16, 2},
        Case{"|u1", DType::kUInt8, 1}, Case{"|b1", DType::kBool, 1}}) {
    const NamedTensor tensor = Parse(Npy(one.descr, "(3,)", std::string(3 * one.bytes, 'x')));
    EXPECT_EQ(tensor.dtype, one.dtype) << one.descr;
    EXPECT_THAT(tensor.shape, ElementsAre(3));
  }
}

TEST(NpyTest, ReadsTheOtherVersionsAndOrdersOfKeys) {
  const std::string header = "{\"shape\":(2,1,),'fortran_order':False,\"descr\":'<f4'}";
  for (const char version : {1, 2, 3}) {
    EXPECT_THAT(Parse(NpyOfHeader(header, Floats(2), version)).shape, ElementsAre(2, 1));
  }
  EXPECT_THAT(Parse(Npy("<f4", "()", Floats(1))).shape, IsEmpty());
  EXPECT_THAT(Parse(Npy("<f4", "(0, 7)", "")).shape, ElementsAre(0, 7));
}

TEST(NpyTest, FortransOrderIsTakenWhereItIsTheSame) {
  const auto fortran = [](const std::string &shape, int count) {
    return NpyOfHeader("{'descr': '<f4', 'fortran_order': True, 'shape': " + shape + ", }", Floats(count));
  };
  EXPECT_THAT(Parse(fortran("(1, 3)", 3)).shape, ElementsAre(1, 3));
  EXPECT_ERROR(Status::kUnsupported, Parse(fortran("(2, 3)", 6)), "numpy.ascontiguousarray");
}

TEST(NpyTest, OtherContentsAreRefusedWithWhatToDo) {
  EXPECT_ERROR(Status::kUnsupported, Parse(Npy(">f4", "(1,)", Floats(1))), "big-endian", "newbyteorder");
  EXPECT_ERROR(Status::kUnsupported, Parse(Npy("|O", "(1,)", "cos\nsystem\n")), "Python objects");
  EXPECT_ERROR(Status::kUnsupported, Parse(Npy("<U3", "(1,)", "")), "text");
  EXPECT_ERROR(Status::kUnsupported, Parse(Npy("<M8[s]", "(1,)", "")), "dates");
  EXPECT_ERROR(Status::kUnsupported, Parse(Npy("<c8", "(1,)", "")), "complex");
  EXPECT_ERROR(Status::kUnsupported, Parse(Npy("<f16", "(1,)", "")), "'<f16'");
  EXPECT_ERROR(Status::kUnsupported,
               Parse(NpyOfHeader("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", Floats(1))),
               "several fields");
  EXPECT_ERROR(Status::kUnsupported, Parse("PK\x03\x04"), "numpy.savez");
  EXPECT_ERROR(Status::kUnsupported, Parse("1,2,3\n"), "numpy.save");
  EXPECT_ERROR(Status::kUnsupported, Parse(NpyOfHeader("{}", "", 4)), "version 4.0");
}

TEST(NpyTest, DamagedFilesAreCorrupt) {
  const std::string whole = Npy("<f4", "(2, 3)", Floats(6));
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto error = testing::ErrorOf([&] { Parse(whole.substr(0, size)); });
    ASSERT_TRUE(error.has_value()) << size;
    EXPECT_EQ(error->status(), Status::kCorrupt) << size;
  }
  EXPECT_ERROR(Status::kCorrupt, Parse(whole + "x"), "1 bytes follow its array");
  EXPECT_ERROR(Status::kCorrupt, Parse(Npy("<f4", "(4294967296, 4294967296, 8)", "")), "impossible shape");
  EXPECT_ERROR(Status::kCorrupt, Parse(Npy("<f4", "(-1,)", "")), "impossible shape");
  EXPECT_ERROR(Status::kCorrupt, Parse(Npy("<f4", "(3)", Floats(3))), "no tuple");
  EXPECT_ERROR(Status::kCorrupt, Parse(NpyOfHeader("{'descr': '<f4', 'shape': (1,), }", Floats(1))), "fortran_order");
  EXPECT_ERROR(Status::kCorrupt,
               Parse(NpyOfHeader("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", Floats(1))),
               "'descr' twice");
  EXPECT_ERROR(Status::kCorrupt,
               Parse(NpyOfHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", Floats(1))),
               "unknown key 'x'");
  EXPECT_ERROR(Status::kCorrupt,
               Parse(NpyOfHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} or 1", Floats(1))),
               "text follows");
}

}  // namespace
}  // namespace trainyard
