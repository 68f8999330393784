// Builds weight files byte by byte, so that tests and fuzz seeds need neither Python nor binary files. Thread rule:
// values.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace trainyard::testing {

template <typename T>
std::string Raw(T number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

// Pickle opcodes as text; protocol 2 as torch.save uses it.
class Pickle {
 public:
  Pickle() { Add("\x80\x02"); }
  Pickle &Add(const std::string &bytes) { return bytes_ += bytes, *this; }
  Pickle &Global(const std::string &module, const std::string &name) { return Add("c" + module + "\n" + name + "\n"); }
  Pickle &Text(const std::string &text) { return Add("X" + Raw(static_cast<uint32_t>(text.size())) + text); }
  Pickle &Int(int64_t number) { return Add(std::string("\x8a\x08", 2) + Raw(number)); }
  Pickle &Ints(const std::vector<int64_t> &numbers) {
    Add("(");
    for (const int64_t number : numbers) Int(number);
    return Add("t");
  }
  Pickle &Storage(const std::string &type, const std::string &key, int64_t elements,
                  const std::string &module = "torch") {
    Add("(").Text("storage").Global(module, type).Text(key).Text("cpu").Int(elements);
    return Add("tQ");
  }
  Pickle &Tensor(const std::string &type, const std::string &key, int64_t elements, int64_t offset,
                 const std::vector<int64_t> &shape, const std::vector<int64_t> &strides) {
    Global("torch._utils", "_rebuild_tensor_v2").Add("(").Storage(type, key, elements);
    Int(offset).Ints(shape).Ints(strides).Add("\x89").EmptyOrderedDict();
    return Add("tR");
  }
  Pickle &EmptyOrderedDict() { return Global("collections", "OrderedDict").Add(")R"); }
  std::string Stop() const { return bytes_ + "."; }

 private:
  std::string bytes_;
};

// A zip archive of stored entries.
class Zip {
 public:
  Zip &Add(const std::string &name, const std::string &bytes, uint16_t method = 0) {
    const std::string sizes =
        Raw(uint32_t{0}) + Raw(static_cast<uint32_t>(bytes.size())) + Raw(static_cast<uint32_t>(bytes.size()));
    const std::string lengths = Raw(static_cast<uint16_t>(name.size())) + Raw(uint16_t{0});
    const std::string common = Raw(uint16_t{20}) + Raw(uint16_t{0}) + Raw(method) + Raw(uint32_t{0}) + sizes + lengths;
    directory_ += "PK\x01\x02" + Raw(uint16_t{20}) + common + Raw(uint16_t{0}) + Raw(uint16_t{0}) + Raw(uint16_t{0}) +
                  Raw(uint32_t{0}) + Raw(static_cast<uint32_t>(entries_.size())) + name;
    entries_ += "PK\x03\x04" + common + name + bytes;
    ++count_;
    return *this;
  }
  std::string Finish() const {
    return entries_ + directory_ + "PK\x05\x06" + Raw(uint32_t{0}) + Raw(count_) + Raw(count_) +
           Raw(static_cast<uint32_t>(directory_.size())) + Raw(static_cast<uint32_t>(entries_.size())) +
           Raw(uint16_t{0});
  }

 private:
  std::string entries_;
  std::string directory_;
  uint16_t count_ = 0;
};

// {"weight": float32 [2, 3] = 0 .. 5, "bias": float32 [2] = 6, 7} in one storage "0", and "steps": int64 7 in "1".
inline Pickle &AddStateDict(Pickle *pickle, const std::string &prefix = "") {
  pickle->EmptyOrderedDict().Add("(");
  pickle->Text(prefix + "weight").Tensor("FloatStorage", "0", 8, 0, {2, 3}, {3, 1});
  pickle->Text(prefix + "bias").Tensor("FloatStorage", "0", 8, 6, {2}, {1});
  pickle->Text(prefix + "steps").Tensor("LongStorage", "1", 1, 0, {}, {});
  return pickle->Add("u");
}

inline std::string Floats(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += Raw(static_cast<float>(i));
  return bytes;
}

inline std::string TorchZip(const std::string &pickle) {
  return Zip()
      .Add("model/data.pkl", pickle)
      .Add("model/byteorder", "little")
      .Add("model/data/0", Floats(8))
      .Add("model/data/1", Raw(int64_t{7}))
      .Add("model/version", "3\n")
      .Finish();
}

// A TorchScript archive of a module with "weight", plain values, and a module "inner" with "bias" and "steps".
inline std::string ScriptModule() {
  Pickle pickle;
  pickle.Global("__torch__.net", "Net").Add(")\x81}(");
  pickle.Text("weight").Tensor("FloatStorage", "0", 8, 0, {2, 3}, {3, 1}).Text("training").Add("\x88");
  pickle.Text("inner").Global("__torch__.net.___torch_mangle_4", "Inner").Add(")\x81}(");
  pickle.Text("bias").Tensor("FloatStorage", "0", 8, 6, {2}, {1});
  pickle.Text("steps").Tensor("LongStorage", "1", 1, 0, {}, {}).Add("ub");
  pickle.Text("sizes").Global("torch.jit._pickle", "build_intlist").Add("](").Int(3).Add("e\x85R");
  return pickle.Add("ub").Stop();
}

inline std::string ScriptZip(const std::string &pickle) {
  return Zip()
      .Add("net/data.pkl", pickle)
      .Add("net/code/__torch__/net.py", "compressed", 8)
      .Add("net/data/0", Floats(8))
      .Add("net/data/1", Raw(int64_t{7}))
      .Add("net/constants.pkl", Pickle().Add(")").Stop())
      .Finish();
}

inline std::string TorchLegacy(const std::string &pickle) {
  const std::string magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  const std::string machine = Pickle().Add("}(").Text("little_endian").Add("\x88u").Stop();
  const std::string keys = Pickle().Add("](").Text("0").Text("1").Add("e").Stop();
  return magic + Pickle().Int(1001).Stop() + machine + pickle + keys + Raw(int64_t{8}) + Floats(8) + Raw(int64_t{1}) +
         Raw(int64_t{7});
}

inline std::string Safetensors(const std::string &header, const std::string &data) {
  return Raw(static_cast<uint64_t>(header.size())) + header + data;
}

// `version` 1 to 3; padded as numpy.save does.
inline std::string NpyOfHeader(std::string header, const std::string &data, char version = 1) {
  const size_t fixed = version == 1 ? 10 : 12;
  header.resize((fixed + header.size() + 64) / 64 * 64 - fixed, ' ');
  header.back() = '\n';
  const std::string length =
      version == 1 ? Raw(static_cast<uint16_t>(header.size())) : Raw(static_cast<uint32_t>(header.size()));
  return std::string("\x93NUMPY") + version + std::string(1, '\0') + length + header + data;
}

// descr: "<f4"; shape: "(2, 3)".
inline std::string Npy(const std::string &descr, const std::string &shape, const std::string &data) {
  return NpyOfHeader("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }", data);
}

// A directory of its own, removed at the end.
class TempDirectory {
 public:
  TempDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "trainyard-weights-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  TempDirectory(const TempDirectory &) = delete;
  TempDirectory &operator=(const TempDirectory &) = delete;

  std::filesystem::path operator/(const std::string &name) const { return path_ / name; }
  std::filesystem::path Write(const std::string &name, const std::string &bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  const std::filesystem::path &path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace trainyard::testing
