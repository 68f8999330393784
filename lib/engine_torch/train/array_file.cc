#include "engine_torch/train/array_file.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/npy.h"
#include "engine_torch/weights/safetensors.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr const char *kExtension = ".npy";
constexpr const char *kClassesFile = "classes.json";
constexpr const char *kClassesKey = "classes";
constexpr uint64_t kMaxClassesBytes = uint64_t{64} << 20;

std::vector<std::string> KnownNames() {
  const std::string before = kValidationPrefix;
  return {kInputsName, kTargetsName, kWeightsName, before + kInputsName, before + kTargetsName};
}

bool IsKnown(const std::string &name) {
  const std::vector<std::string> names = KnownNames();
  return std::find(names.begin(), names.end(), name) != names.end();
}

void ReadDirectory(ArrayFile *file, std::vector<std::string> *others) {
  for (const DirEntry &entry : ListDir(file->path)) {
    if (!entry.name.ends_with(kExtension)) continue;
    const std::string name = entry.name.substr(0, entry.name.size() - std::string_view(kExtension).size());
    if (!IsKnown(name)) {
      others->push_back(entry.name);
      continue;
    }
    const std::string path = JoinPath(file->path, entry.name);
    const std::shared_ptr<const MappedFile> mapped = MappedFile::Open(path);
    file->arrays[name] = ParseNpy(mapped->bytes(), path);
    file->owners.push_back(mapped);
  }
  const std::string classes = JoinPath(file->path, kClassesFile);
  if (PathExists(classes)) {
    file->classes = Json::Parse(ReadFile(classes, kMaxClassesBytes), classes).AsStringList();
  }
}

void ReadSafetensors(ArrayFile *file, std::vector<std::string> *others) {
  const std::shared_ptr<const MappedFile> mapped = MappedFile::Open(file->path);
  const std::string_view text = AsText(mapped->bytes());
  if (text.starts_with("\x93NUMPY") || text.starts_with("PK")) {
    throw Error::InvalidArgument("'" + file->path +
                                     "' is one array or an archive of them: give the directory that has inputs.npy and "
                                     "targets.npy (numpy.save), or a .safetensors file",
                                 {{"path", file->path}, {"key", "data.arrays"}});
  }
  const TensorFile read = ParseSafetensors(mapped->bytes(), file->path, mapped);
  for (const NamedTensor &tensor : read.tensors) {
    if (IsKnown(tensor.name)) {
      file->arrays[tensor.name] = tensor;
    } else {
      others->push_back(tensor.name);
    }
  }
  file->owners.push_back(mapped);
  if (const auto classes = read.metadata.find(kClassesKey); classes != read.metadata.end()) {
    file->classes = Json::Parse(classes->second, file->path + ": metadata '" + kClassesKey + "'").AsStringList();
  }
}

// They are checked once and index what is counted: a file that somebody writes to must not change them.
void KeepTargets(ArrayFile *file) {
  for (const std::string &name : {std::string(kTargetsName), std::string(kValidationPrefix) + kTargetsName}) {
    const auto found = file->arrays.find(name);
    if (found == file->arrays.end()) continue;
    std::span<const std::byte> &data = found->second.data;
    const auto copy = std::make_shared<const std::vector<std::byte>>(data.begin(), data.end());
    data = *copy;
    file->owners.push_back(copy);
  }
}

void CheckArray(const ArrayFile &file, const std::string &name) {
  const NamedTensor *array = file.Find(name);
  if (array != nullptr && !array->shape.empty() && array->shape[0] > 0) return;
  throw Error::InvalidArgument(file.Where(name) + " has no samples: its first dimension counts them",
                               {{"path", file.path}});
}

}  // namespace

const NamedTensor *ArrayFile::Find(const std::string &name) const {
  const auto found = arrays.find(name);
  return found == arrays.end() ? nullptr : &found->second;
}

std::string ArrayFile::Where(const std::string &name) const {
  if (directory) return "'" + JoinPath(path, name + kExtension) + "'";
  return "tensor '" + name + "' of '" + path + "'";
}

ArrayFile OpenArrayFile(const std::string &path) {
  ArrayFile file;
  file.path = path;
  if (!PathExists(path)) {
    throw Error::NotFound("'data.arrays': '" + path + "' does not exist", {{"path", path}, {"key", "data.arrays"}});
  }
  file.directory = IsDirectory(path);
  std::vector<std::string> others;
  file.directory ? ReadDirectory(&file, &others) : ReadSafetensors(&file, &others);
  for (const char *name : {kInputsName, kTargetsName}) {
    if (file.Find(name) != nullptr) continue;
    throw Error::InvalidArgument("'" + path + "' has no " + (file.directory ? "file '" : "tensor '") + name +
                                     (file.directory ? kExtension : "") + "'" +
                                     (others.empty() ? "" : "; it has " + Join(others, ", ")) +
                                     ": name the arrays inputs and targets",
                                 {{"path", path}, {"key", "data.arrays"}});
  }
  for (const auto &[name, array] : file.arrays) CheckArray(file, name);
  KeepTargets(&file);
  for (const std::string &name : others) {
    file.notes.push_back("'" + path + "': '" + PrintableLine(name, 120) + "' is ignored: known are " +
                         Join(KnownNames(), ", "));
  }
  return file;
}

}  // namespace trainyard
