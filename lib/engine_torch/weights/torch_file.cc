#include "engine_torch/weights/torch_file.h"

#include <functional>
#include <map>

#include "engine_torch/weights/pickle.h"
#include "engine_torch/weights/state_dict.h"
#include "engine_torch/weights/torch_globals.h"
#include "engine_torch/weights/zip_directory.h"

namespace trainyard {
namespace {

using Kind = PickleValue::Kind;

Error Unsupported(const std::filesystem::path &path, const std::string &what) {
  return {Status::kUnsupported, "'" + path.string() + "' " + what, {{"path", path.string()}}};
}

// The zip format. All entries lie in one folder, whose name does not matter:
// 1. <folder>/data.pkl: the pickled object; its storages are persistent ids with the key of an entry of 2;
// 2. <folder>/data/<key>: the raw elements of one storage, aligned to 64 bytes;
// 3. <folder>/byteorder: "little" or "big"; absent before PyTorch 2.1 = little;
// 4. <folder>/constants.pkl, <folder>/code/: only in TorchScript archives, whose object is a module: the dict of all
// its
//    attributes, with the modules below it.
std::string FindFolder(const ZipDirectory &directory, const std::filesystem::path &path) {
  constexpr std::string_view kPickle = "data.pkl";
  for (const auto &[name, entry] : directory.entries) {
    if (!name.ends_with(kPickle)) continue;
    const std::string folder = name.substr(0, name.size() - kPickle.size());
    if (folder.empty() || (folder.back() == '/' && folder.find('/') == folder.size() - 1)) return folder;
  }
  for (const auto &[name, entry] : directory.entries) {
    if (name.ends_with(".npy")) throw Unsupported(path, "is a NumPy archive, not PyTorch weights");
  }
  throw Unsupported(path, "is a zip archive without data.pkl: not what torch.save writes");
}

bool IsScript(const ZipDirectory &directory, const std::string &folder) {
  return directory.Find(folder + "constants.pkl") != nullptr;
}

// The legacy format:
// 1. pickle: the number 0x1950a86a20f9469cfc6c;
// 2. pickle: the protocol version, 1001;
// 3. pickle: a dict about the machine ("little_endian");
// 4. pickle: the object; its storages are persistent ids with a key;
// 5. pickle: the list of the keys, in the order of 6;
// 6. per key: i64 number of elements, then the elements.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kLegacyProtocol = 1001;

class LegacyReader {
 public:
  LegacyReader(Bytes bytes, const std::filesystem::path &path) : bytes_(bytes), path_(path) {}

  PickleDocument ReadObject() {
    const PickleDocument magic = Next();
    if (!magic.root->Is(Kind::kBigInt) || magic.root->text != kLegacyMagic) {
      throw Unsupported(path_,
                        "is a plain pickle, not what torch.save writes: save the weights in Python with "
                        "torch.save(model.state_dict(), path)");
    }
    const PickleDocument protocol = Next();
    if (!protocol.root->Is(Kind::kInt) || protocol.root->integer != kLegacyProtocol) {
      throw Unsupported(path_, "is a legacy torch.save file of an unknown protocol version");
    }
    const PickleDocument machine = Next();
    const PickleValue *little = machine.root->Find("little_endian");
    if (little != nullptr && little->integer == 0) throw Unsupported(path_, "was written on a big-endian machine");
    return Next();
  }

  // Reads parts 5 and 6. `types` are the element types that the object's persistent ids give for each key.
  StorageMap ReadStorages(const std::map<std::string, DType> &types) {
    const PickleDocument keys = Next();
    if (!keys.root->Is(Kind::kList)) throw Error::Corrupt("'" + path_.string() + "' has no list of storages");
    StorageMap storages;
    for (const PickleValue *key : keys.root->items) {
      const auto type = types.find(key->text);
      if (!key->Is(Kind::kString) || type == types.end()) {
        throw Error::Corrupt("'" + path_.string() + "' holds a storage that its object does not use");
      }
      const std::string where = "storage '" + Printable(key->text) + "'";
      const uint64_t start = position_ + sizeof(int64_t);
      if (bytes_.size() < start) throw Truncated(path_, where, start, bytes_.size());
      const auto count = LoadLittleEndian<int64_t>(bytes_, position_);
      uint64_t end = 0;
      if (count < 0 || !MultiplyAdd(start, static_cast<uint64_t>(count), SizeOf(type->second), &end)) {
        throw Error::Corrupt("'" + path_.string() + "': " + where + " has an impossible size");
      }
      if (end > bytes_.size()) throw Truncated(path_, where, end, bytes_.size());
      storages[key->text] = bytes_.subspan(static_cast<size_t>(start), static_cast<size_t>(end - start));
      position_ = static_cast<size_t>(end);
    }
    return storages;
  }

 private:
  PickleDocument Next() {
    PickleDocument document = ReadPickle(bytes_, path_, TorchGlobalVerdict, position_);
    position_ = document.end;
    return document;
  }

  const Bytes bytes_;
  const std::filesystem::path &path_;
  size_t position_ = 0;
};

}  // namespace

bool IsTorchScript(const std::filesystem::path &path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  if (!AsText(file->bytes()).starts_with("PK")) return false;
  const ZipDirectory directory = ReadZipDirectory(file->bytes(), path);
  return IsScript(directory, FindFolder(directory, path));
}

TensorFile ParseTorchZip(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner) {
  const ZipDirectory directory = ReadZipDirectory(bytes, path);
  const std::string folder = FindFolder(directory, path);
  const bool script = IsScript(directory, folder);
  const std::string data = folder + "data/";
  for (const auto &[name, entry] : directory.entries) {
    // The code of a TorchScript archive is compressed, and not looked at.
    const bool needed = !script || name == folder + "data.pkl" || name.starts_with(data);
    if (!needed || !entry.compressed) continue;
    throw Unsupported(
        path, "is not as torch.save writes it: entry '" + Printable(name) + "' is compressed; save it again in Python");
  }
  const ZipEntry *order = directory.Find(folder + "byteorder");
  if (order != nullptr && AsText(order->bytes) != "little")
    throw Unsupported(path, "was written on a big-endian machine");
  const PickleDocument document =
      ReadPickle(directory.Find(folder + "data.pkl")->bytes, path, script ? ScriptGlobalVerdict : TorchGlobalVerdict);
  CheckUnknownGlobals(document, path);
  StorageMap storages;
  for (const auto &[name, entry] : directory.entries) {
    if (name.starts_with(data)) storages[name.substr(data.size())] = entry.bytes;
  }
  TensorFile file;
  file.path = path;
  file.format = script ? "torchscript" : "torch zip";
  file.owner = std::move(owner);
  (script ? CollectScriptTensors : CollectTensors)(document, storages, &file);
  return file;
}

TensorFile ParseTorchLegacy(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner) {
  LegacyReader reader(bytes, path);
  const PickleDocument document = reader.ReadObject();
  CheckUnknownGlobals(document, path);
  const StorageMap storages = reader.ReadStorages(StorageTypes(document, path));
  TensorFile file;
  file.path = path;
  file.format = "torch legacy";
  file.owner = std::move(owner);
  CollectTensors(document, storages, &file);
  return file;
}

}  // namespace trainyard
