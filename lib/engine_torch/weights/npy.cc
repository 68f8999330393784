#include "engine_torch/weights/npy.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace trainyard {
namespace {

// The file:
// 1. "\x93NUMPY", then the version, a byte each: major 1, 2 or 3, minor 0;
// 2. little-endian, the length of the header: u16 of version 1, u32 of the others;
// 3. the header, a Python literal in ASCII (version 3: UTF-8), padded with spaces to '\n':
//      {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//    Each of the three keys once, in any order. descr: byte order (<, or | where there is none), kind, bytes;
// 4. the elements, without gap, to the last byte of the file.
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionBytes = 2;
constexpr size_t kMaxHeaderBytes = 1 << 16;  // of numbers it takes a hundred
constexpr size_t kMaxDimensions = 64;

struct DescrName {
  std::string_view descr;
  DType dtype;
};
constexpr DescrName kDescrs[] = {
    {"<f8", DType::kFloat64}, {"<f4", DType::kFloat32}, {"<f2", DType::kFloat16}, {"<i8", DType::kInt64},
    {"<i4", DType::kInt32},   {"<i2", DType::kInt16},   {"|i1", DType::kInt8},    {"<i1", DType::kInt8},
    {"<u8", DType::kUInt64},  {"<u4", DType::kUInt32},  {"<u2", DType::kUInt16},  {"|u1", DType::kUInt8},
    {"<u1", DType::kUInt8},   {"|b1", DType::kBool},    {"<b1", DType::kBool},
};

Error Bad(const std::filesystem::path &path, const std::string &what) {
  return Error::Corrupt("'" + path.string() + "' is not a valid .npy file: " + what + "; save it again",
                        {{"path", path.string()}});
}

Error Unsupported(const std::filesystem::path &path, const std::string &what) {
  return {Status::kUnsupported, "'" + path.string() + "' " + what, {{"path", path.string()}}};
}

DType DTypeOf(std::string_view descr, const std::filesystem::path &path) {
  for (const DescrName &known : kDescrs) {
    if (descr == known.descr) return known.dtype;
  }
  const std::string quoted = "'" + Printable(descr) + "'";
  if (descr.starts_with(">")) {
    throw Unsupported(
        path, "holds big-endian numbers (" + quoted + "): save it with array.astype(array.dtype.newbyteorder('<'))");
  }
  const char kind = descr.size() < 2 ? ' ' : descr[1];
  const std::string what = kind == 'O'                  ? "Python objects, which only Python can read"
                           : kind == 'U' || kind == 'S' ? "text"
                           : kind == 'M' || kind == 'm' ? "dates or times"
                           : kind == 'c'                ? "complex numbers"
                                                        : "elements of a type that is not read";
  throw Unsupported(path, "holds " + what + " (" + quoted + "): convert it to float32 or an integer type first");
}

// The header's text, read from the left.
class Header {
 public:
  Header(std::string_view text, const std::filesystem::path &path) : rest_(text), path_(path) {}

  void Read() {
    Expect('{');
    while (!Take('}')) {
      ReadItem();
      if (!Take(',')) {
        Expect('}');
        break;
      }
    }
    Skip();
    if (!rest_.empty()) throw Bad(path_, "text follows its header's dict");
    if (!dtype_ || !fortran_ || !has_shape_) {
      throw Bad(path_, std::string("its header has no '") +
                           (!dtype_     ? "descr"
                            : !fortran_ ? "fortran_order"
                                        : "shape") +
                           "'");
    }
  }
  DType dtype() const { return *dtype_; }
  bool fortran() const { return *fortran_; }
  const std::vector<int64_t> &shape() const { return shape_; }

 private:
  void ReadItem() {
    const std::string_view key = ReadString();
    Expect(':');
    const bool twice =
        (key == "descr" && dtype_) || (key == "fortran_order" && fortran_) || (key == "shape" && has_shape_);
    if (twice) throw Bad(path_, "its header has '" + Printable(key) + "' twice");
    if (key == "descr") {
      Skip();
      if (rest_.starts_with("[")) {
        throw Unsupported(path_, "holds records of several fields: save each field as an array of its own");
      }
      dtype_ = DTypeOf(ReadString(), path_);
    } else if (key == "fortran_order") {
      fortran_ = ReadBool();
    } else if (key == "shape") {
      ReadShape();
    } else {
      throw Bad(path_, "its header has the unknown key '" + Printable(key) + "'");
    }
  }

  // Without escapes: none of the words that may stand here has any.
  std::string_view ReadString() {
    Skip();
    const char quote = rest_.empty() ? ' ' : rest_.front();
    const size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) throw Bad(path_, "a text is missing in its header");
    const std::string_view text = rest_.substr(1, end - 1);
    if (text.find('\\') != std::string_view::npos) throw Bad(path_, "its header has an escape in a text");
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool ReadBool() {
    Skip();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    throw Bad(path_, "its header's 'fortran_order' is neither True nor False");
  }

  void ReadShape() {
    Expect('(');
    while (!Take(')')) {
      Skip();
      int64_t size = -1;
      const auto end = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (end.ec != std::errc() || size < 0 || shape_.size() == kMaxDimensions) {
        throw Bad(path_, "its header has an impossible shape");
      }
      rest_.remove_prefix(static_cast<size_t>(end.ptr - rest_.data()));
      shape_.push_back(size);
      const bool more = Take(',');
      if (more) continue;
      if (shape_.size() == 1) throw Bad(path_, "its header's shape is no tuple");  // "(3)"
      Expect(')');
      break;
    }
    has_shape_ = true;
  }

  void Skip() {
    const size_t first = rest_.find_first_not_of(" \n");
    rest_.remove_prefix(first == std::string_view::npos ? rest_.size() : first);
  }
  bool Take(char c) {
    Skip();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(char c) {
    if (!Take(c)) throw Bad(path_, std::string("'") + c + "' is missing in its header");
  }

  std::string_view rest_;
  const std::filesystem::path &path_;
  std::optional<DType> dtype_;
  std::optional<bool> fortran_;
  std::vector<int64_t> shape_;
  bool has_shape_ = false;
};

// Where the header starts, and its length.
struct HeaderPlace {
  size_t start = 0;
  size_t bytes = 0;
};

HeaderPlace FindHeader(Bytes bytes, const std::filesystem::path &path) {
  const std::string_view text = AsText(bytes);
  const size_t known = std::min(text.size(), kMagic.size());
  if (text.substr(0, known) != kMagic.substr(0, known)) {
    throw Unsupported(path, text.starts_with("PK") ? "is a zip archive (numpy.savez): save each array with numpy.save"
                                                   : "is not a .npy file: write it with numpy.save");
  }
  const size_t fixed = kMagic.size() + kVersionBytes;
  if (bytes.size() < fixed + sizeof(uint16_t)) {
    throw Truncated(path, "a .npy header", fixed + sizeof(uint16_t), bytes.size());
  }
  const auto major = static_cast<int>(bytes[kMagic.size()]);
  const auto minor = static_cast<int>(bytes[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    throw Unsupported(path, "is of version " + std::to_string(major) + "." + std::to_string(minor) +
                                " of the .npy format, and 1.0, 2.0 and 3.0 are read");
  }
  HeaderPlace place;
  if (major == 1) {
    place = {fixed + sizeof(uint16_t), LoadLittleEndian<uint16_t>(bytes, fixed)};
  } else {
    if (bytes.size() < fixed + sizeof(uint32_t)) {
      throw Truncated(path, "a .npy header", fixed + sizeof(uint32_t), bytes.size());
    }
    place = {fixed + sizeof(uint32_t), LoadLittleEndian<uint32_t>(bytes, fixed)};
  }
  if (place.bytes > kMaxHeaderBytes) throw Bad(path, "its header would be larger than 64 KiB");
  if (place.bytes > bytes.size() - place.start) {
    throw Truncated(path, "a .npy header", place.start + place.bytes, bytes.size());
  }
  return place;
}

// Where at most one dimension is longer than 1, both orders are the same.
bool IsOneLine(const std::vector<int64_t> &shape) {
  int longer = 0;
  for (const int64_t size : shape) longer += size > 1 ? 1 : 0;
  return longer <= 1;
}

}  // namespace

NamedTensor ParseNpy(Bytes bytes, const std::filesystem::path &path) {
  const HeaderPlace place = FindHeader(bytes, path);
  Header header(AsText(bytes.subspan(place.start, place.bytes)), path);
  header.Read();
  NamedTensor tensor;
  tensor.dtype = header.dtype();
  tensor.shape = header.shape();
  uint64_t size = SizeOf(tensor.dtype);
  for (const int64_t length : tensor.shape) {
    if (!MultiplyAdd(0, size, static_cast<uint64_t>(length), &size)) {
      throw Bad(path, "its header has an impossible shape");
    }
  }
  if (header.fortran() && !IsOneLine(tensor.shape)) {
    throw Unsupported(path, "is in Fortran's order: write it with numpy.save(path, numpy.ascontiguousarray(array))");
  }
  const size_t start = place.start + place.bytes;
  const size_t present = bytes.size() - start;
  if (present < size) throw Truncated(path, "its header's shape and type", start + size, bytes.size());
  if (present > size) throw Bad(path, std::to_string(present - size) + " bytes follow its array");
  tensor.data = bytes.subspan(start);
  return tensor;
}

}  // namespace trainyard
