#include "engine_torch/weights/state_dict.h"

#include <algorithm>
#include <set>

#include "engine_torch/weights/torch_globals.h"

namespace trainyard {
namespace {

using Kind = PickleValue::Kind;

constexpr int kMaxModuleDepth = 200;
constexpr size_t kMaxTensors = 1'000'000;
constexpr size_t kMaxModuleVisits = 1'000'000;  // a module may hold another one many times over
constexpr size_t kMaxModuleAttributes = 1000;
constexpr size_t kMaxDimensions = 64;
constexpr std::string_view kScriptClasses = "__torch__.";
constexpr int kMaxWrappers = 8;  // a tensor in a Parameter in a subclass ...

// The class or function an object was made with: "torch.nn.modules.conv.Conv2d"; empty when it is no import.
const PickleValue *GlobalOf(const PickleValue &object) {
  const PickleValue *callable = object.callable;
  if (callable == nullptr) return nullptr;
  // Legacy files write the classes of modules as the persistent id ('module', class, source file, source).
  if (callable->Is(Kind::kPersistentId) && callable->items[0]->items.size() >= 2) {
    callable = callable->items[0]->items[1];
  }
  if (!callable->Is(Kind::kGlobal)) return nullptr;
  const bool indirect = callable->text.ends_with("._reconstructor") || callable->text.ends_with(".__newobj__");
  if (indirect && object.arguments != nullptr && !object.arguments->items.empty()) {
    const PickleValue *type = object.arguments->items[0];
    return type->Is(Kind::kGlobal) ? type : nullptr;
  }
  return callable;
}

bool CallsTo(const PickleValue &value, std::string_view global) {
  return value.Is(Kind::kObject) && value.callable->Is(Kind::kGlobal) && value.callable->text == global;
}

bool IsModule(const PickleValue &value) {
  if (!value.Is(Kind::kObject) || value.state == nullptr || !value.state->Is(Kind::kDict)) return false;
  if (value.state->entries.size() > kMaxModuleAttributes) return false;
  return value.state->Find("_modules") != nullptr && value.state->Find("_parameters") != nullptr &&
         value.state->Find("_buffers") != nullptr;
}

// An object of a TorchScript archive: its attributes (parameters, buffers, modules and plain values) are one dict.
bool IsScriptModule(const PickleValue &value) {
  if (!value.Is(Kind::kObject) || !value.constructed || value.state == nullptr || !value.state->Is(Kind::kDict)) {
    return false;
  }
  return value.callable->Is(Kind::kGlobal) && value.callable->text.starts_with(kScriptClasses) &&
         value.state->entries.size() <= kMaxModuleAttributes;
}

bool IsDictLike(const PickleValue &value) {
  return value.Is(Kind::kDict) || CallsTo(value, "collections.OrderedDict") ||
         CallsTo(value, "collections.defaultdict");
}

const PickleValue *Argument(const PickleValue &call, size_t index) {
  if (call.arguments == nullptr || !call.arguments->Is(Kind::kTuple)) return nullptr;
  return index < call.arguments->items.size() ? call.arguments->items[index] : nullptr;
}

// The call that builds the tensor, without the Parameter or subclass around it; null when `value` is no tensor. For a
// subclass the call's arguments are in *arguments.
const PickleValue *TensorCall(const PickleValue *value, const PickleValue **arguments) {
  for (int i = 0; i < kMaxWrappers && value != nullptr && value->Is(Kind::kObject); ++i) {
    if (!value->callable->Is(Kind::kGlobal)) return nullptr;
    const std::string &name = value->callable->text;
    if (name == "torch._utils._rebuild_tensor" || name == "torch._utils._rebuild_tensor_v2" ||
        name == "torch._utils._rebuild_tensor_v3") {
      *arguments = value->arguments;
      return value->callable;
    }
    if (name == "torch._tensor._rebuild_from_type_v2") {
      const PickleValue *function = Argument(*value, 0);
      *arguments = Argument(*value, 2);
      if (function == nullptr || *arguments == nullptr || !function->Is(Kind::kGlobal)) return nullptr;
      return function->text.starts_with("torch._utils._rebuild_tensor") ? function : nullptr;
    }
    if (name != "torch._utils._rebuild_parameter" && name != "torch._utils._rebuild_parameter_with_state" &&
        name != "torch._utils._rebuild_device_tensor_from_cpu_tensor") {
      return nullptr;
    }
    value = Argument(*value, 0);
  }
  return nullptr;
}

bool IsTensor(const PickleValue *value) {
  const PickleValue *arguments = nullptr;
  return TensorCall(value, &arguments) != nullptr;
}

// The persistent id ('storage', type, key, device, elements [, view]); view = (key, offset, elements) in old files.
struct StorageId {
  std::string key;
  std::string type;
  uint64_t elements = 0;
  uint64_t view_offset = 0;
};

bool ReadStorageId(const PickleValue &value, StorageId *id) {
  if (!value.Is(Kind::kPersistentId) || !value.items[0]->Is(Kind::kTuple)) return false;
  const std::vector<PickleValue *> &parts = value.items[0]->items;
  if (parts.size() < 5 || !parts[0]->Is(Kind::kString) || parts[0]->text != "storage") return false;
  if (!parts[1]->Is(Kind::kGlobal) || !parts[2]->Is(Kind::kString)) return false;
  if (!parts[4]->Is(Kind::kInt) || parts[4]->integer < 0) return false;
  id->type = parts[1]->text;
  id->key = parts[2]->text;
  id->elements = static_cast<uint64_t>(parts[4]->integer);
  if (parts.size() > 5 && parts[5]->Is(Kind::kTuple)) {
    const std::vector<PickleValue *> &view = parts[5]->items;
    if (view.size() != 3 || !view[1]->Is(Kind::kInt) || !view[2]->Is(Kind::kInt)) return false;
    if (view[1]->integer < 0 || view[2]->integer < 0) return false;
    const auto offset = static_cast<uint64_t>(view[1]->integer);
    const auto elements = static_cast<uint64_t>(view[2]->integer);
    if (offset > id->elements || elements > id->elements - offset) return false;
    id->view_offset = offset;
    id->elements = elements;
  }
  return true;
}

DType StorageDType(const StorageId &id, const std::filesystem::path &path) {
  const std::optional<DType> dtype = DTypeOfStorage(id.type);
  if (dtype) return *dtype;
  throw Error(Status::kUnsupported,
              "'" + path.string() + "' holds tensors of type " + Printable(id.type) +
                  ", which the engine does not read; convert them to float32 before saving",
              {{"path", path.string()}});
}

// One number per dimension, none negative.
bool ReadSizes(const PickleValue *value, std::vector<int64_t> *sizes) {
  if (value == nullptr) return false;
  // torch.Size((2, 3)) or a plain tuple.
  if (CallsTo(*value, "torch.Size")) value = Argument(*value, 0);
  if (value == nullptr || !(value->Is(Kind::kTuple) || value->Is(Kind::kList))) return false;
  if (value->items.size() > kMaxDimensions) return false;
  for (const PickleValue *item : value->items) {
    if (!item->Is(Kind::kInt) || item->integer < 0) return false;
    sizes->push_back(item->integer);
  }
  return true;
}

class Collector {
 public:
  Collector(const StorageMap &storages, TensorFile *file) : storages_(storages), file_(file) {}

  // A dict of tensors; values that are none (a version number, an extra state) are left out.
  void AddDict(const PickleValue &dict) {
    for (const auto &[key, value] : dict.entries) {
      if (key->Is(Kind::kString) && IsTensor(value)) Add(key->text, *value);
    }
  }

  // In the order of Module.state_dict(): own parameters, own persistent buffers, then the children's.
  void AddModule(const PickleValue &module, const std::string &prefix, int depth = 0) {
    if (depth > kMaxModuleDepth || ++visits_ > kMaxModuleVisits) throw Bad("its modules are nested too deep");
    const PickleValue &state = *module.state;
    for (const auto &[key, value] : state.Find("_parameters")->entries) {
      if (key->Is(Kind::kString) && IsTensor(value)) Add(prefix + key->text, *value);
    }
    const std::set<std::string> transient = StringsOf(state.Find("_non_persistent_buffers_set"));
    for (const auto &[key, value] : state.Find("_buffers")->entries) {
      if (key->Is(Kind::kString) && IsTensor(value) && !transient.contains(key->text)) Add(prefix + key->text, *value);
    }
    for (const auto &[key, value] : state.Find("_modules")->entries) {
      if (key->Is(Kind::kString) && IsModule(*value)) AddModule(*value, prefix + key->text + ".", depth + 1);
    }
  }

  // As above. What is a buffer is said in the archive's code alone, so that a plain tensor attribute is taken for one.
  void AddScriptModule(const PickleValue &module, const std::string &prefix, int depth = 0) {
    if (depth > kMaxModuleDepth || ++visits_ > kMaxModuleVisits) throw Bad("its modules are nested too deep");
    for (const auto &[key, value] : module.state->entries) {
      if (key->Is(Kind::kString) && IsTensor(value)) Add(prefix + key->text, *value);
    }
    for (const auto &[key, value] : module.state->entries) {
      if (!key->Is(Kind::kString) || !IsScriptModule(*value)) continue;
      AddScriptModule(*value, prefix + key->text + ".", depth + 1);
    }
  }

 private:
  Error Bad(const std::string &what) const {
    return Error::Corrupt("'" + file_->path.string() + "' is damaged: " + what + "; copy or download it again",
                          {{"path", file_->path.string()}});
  }

  static std::set<std::string> StringsOf(const PickleValue *set) {
    std::set<std::string> strings;
    if (set == nullptr) return strings;
    // Protocols before 4 write set([...]).
    const PickleValue *list = set->Is(Kind::kObject) ? Argument(*set, 0) : set;
    if (list == nullptr) return strings;
    for (const PickleValue *item : list->items) {
      if (item->Is(Kind::kString)) strings.insert(item->text);
    }
    return strings;
  }

  // _rebuild_tensor(storage, offset, size, stride); _v2 adds (requires_grad, hooks [, metadata]); _v3 adds the dtype
  // after the hooks.
  void Add(const std::string &name, const PickleValue &value) {
    const std::string where = "tensor '" + Printable(name) + "'";
    const PickleValue *arguments = nullptr;
    const PickleValue *function = TensorCall(&value, &arguments);
    if (arguments == nullptr || arguments->items.size() < 4) throw Bad(where + " lacks a part");
    const std::vector<PickleValue *> &parts = arguments->items;
    StorageId id;
    NamedTensor tensor;
    tensor.name = name;
    if (!ReadStorageId(*parts[0], &id)) throw Bad(where + " has no storage");
    const DType stored = StorageDType(id, file_->path);
    tensor.dtype = stored;
    if (function->text == "torch._utils._rebuild_tensor_v3") {
      const PickleValue *dtype = parts.size() > 6 ? parts[6] : nullptr;
      const bool named = dtype != nullptr && dtype->Is(Kind::kGlobal);
      const std::optional<DType> found = named ? DTypeOfName(dtype->text) : std::nullopt;
      if (!found) {
        throw Error(Status::kUnsupported, "'" + file_->path.string() + "': " + where + " has dtype " +
                                              (named ? Printable(dtype->text) : "?") +
                                              ", which the engine does not read");
      }
      tensor.dtype = *found;
    }
    const bool sized = ReadSizes(parts[2], &tensor.shape) && ReadSizes(parts[3], &tensor.strides);
    if (!sized || tensor.shape.size() != tensor.strides.size()) throw Bad(where + " has an impossible shape");
    if (!parts[1]->Is(Kind::kInt) || parts[1]->integer < 0) throw Bad(where + " has an impossible offset");
    tensor.data = DataOf(tensor, id, SizeOf(stored), static_cast<uint64_t>(parts[1]->integer), where);
    if (tensor.IsContiguous()) tensor.strides.clear();
    if (file_->tensors.size() == kMaxTensors) throw Bad("it holds more than a million tensors");
    // A key set twice: the last value counts, as in Python.
    const auto [known, fresh] = index_.emplace(name, file_->tensors.size());
    if (fresh) {
      file_->tensors.push_back(std::move(tensor));
    } else {
      file_->tensors[known->second] = std::move(tensor);
    }
  }

  Bytes DataOf(const NamedTensor &tensor, const StorageId &id, size_t stored_bytes, uint64_t offset,
               const std::string &where) const {
    const auto storage = storages_.find(id.key);
    if (storage == storages_.end()) throw Bad("storage '" + Printable(id.key) + "' of " + where + " is missing");
    uint64_t first = 0;
    uint64_t end = 0;
    if (!MultiplyAdd(0, id.view_offset, stored_bytes, &first) || !MultiplyAdd(first, id.elements, stored_bytes, &end)) {
      throw Bad(where + " has an impossible storage");
    }
    if (end > storage->second.size()) {
      throw Truncated(file_->path, "storage '" + Printable(id.key) + "' of " + where, end, storage->second.size());
    }
    uint64_t reach = 0;
    uint64_t begin = 0;
    uint64_t stop = 0;
    if (!ReachOf(tensor, &reach)) throw Bad(where + " has an impossible shape");
    const uint64_t bytes = SizeOf(tensor.dtype);
    if (!MultiplyAdd(first, offset, bytes, &begin) || !MultiplyAdd(begin, reach, bytes, &stop)) {
      throw Bad(where + " has an impossible offset");
    }
    if (reach == 0) return {};
    if (stop > end) throw Bad(where + " reaches outside its storage");
    return storage->second.subspan(static_cast<size_t>(begin), static_cast<size_t>(stop - begin));
  }

  const StorageMap &storages_;
  TensorFile *file_;
  std::map<std::string, size_t> index_;
  size_t visits_ = 0;
};

bool HoldsTensors(const PickleValue &value) {
  if (IsModule(value)) return true;
  if (!IsDictLike(value)) return false;
  return std::any_of(value.entries.begin(), value.entries.end(),
                     [](const auto &entry) { return entry.first->Is(Kind::kString) && IsTensor(entry.second); });
}

std::string Quoted(const std::vector<std::string> &names) {
  std::string result;
  for (size_t i = 0; i < names.size() && i < 10; ++i) result += (i == 0 ? "'" : ", '") + Printable(names[i]) + "'";
  if (names.size() > 10) result += " and " + std::to_string(names.size() - 10) + " more";
  return result.empty() ? "none" : result;
}

// The state dict or module to read, by the rules in the header.
const PickleValue *FindStateDict(const PickleValue &root, TensorFile *file) {
  if (IsModule(root)) return &root;
  std::vector<std::string> keys;
  std::vector<std::string> candidates;
  if (IsDictLike(root)) {
    for (const auto &[key, value] : root.entries) {
      if (!key->Is(Kind::kString)) continue;
      keys.push_back(key->text);
      if (HoldsTensors(*value)) candidates.push_back(key->text);
    }
  }
  std::string chosen;
  for (const char *preferred : {"state_dict", "model_state_dict", "model", "net", "module"}) {
    if (std::find(candidates.begin(), candidates.end(), preferred) == candidates.end()) continue;
    chosen = preferred;
    break;
  }
  if (chosen.empty() && HoldsTensors(root)) return &root;
  if (chosen.empty() && candidates.size() == 1) chosen = candidates.front();
  if (chosen.empty() && !candidates.empty()) {
    throw Error(Status::kUnsupported,
                "'" + file->path.string() + "' holds several state dicts, under the keys " + Quoted(candidates) +
                    ": save the wanted one alone",
                {{"path", file->path.string()}});
  }
  if (chosen.empty()) {
    throw Error(Status::kUnsupported,
                "'" + file->path.string() + "' holds no state dict; its top-level keys: " + Quoted(keys) +
                    ". Save the weights in Python: torch.save(model.state_dict(), path)",
                {{"path", file->path.string()}});
  }
  file->state_dict_key = chosen;
  for (const std::string &key : candidates) {
    if (key != chosen) file->other_keys.push_back(key);
  }
  return root.Find(chosen);
}

bool StripPrefix(std::string_view prefix, std::vector<NamedTensor> *tensors) {
  if (tensors->empty()) return false;
  for (const NamedTensor &tensor : *tensors) {
    if (!tensor.name.starts_with(prefix) || tensor.name.size() == prefix.size()) return false;
  }
  for (NamedTensor &tensor : *tensors) tensor.name.erase(0, prefix.size());
  return true;
}

// The class of the model, not of DistributedDataParallel or torch.compile around it.
std::string ModelClass(const PickleValue *module) {
  for (int i = 0; i < kMaxWrappers; ++i) {
    const PickleValue *modules = module->state->Find("_modules");
    const PickleValue *inner = modules->Find("module");
    if (inner == nullptr) inner = modules->Find("_orig_mod");
    if (inner == nullptr || modules->entries.size() != 1 || !IsModule(*inner)) break;
    module = inner;
  }
  const PickleValue *global = GlobalOf(*module);
  return global == nullptr ? "" : Printable(global->text);
}

// "__torch__.torchvision.models.resnet.___torch_mangle_3.ResNet" -> "torchvision.models.resnet.ResNet".
std::string ScriptClass(const PickleValue &module) {
  std::string name = module.callable->text.substr(kScriptClasses.size());
  constexpr std::string_view kMangle = "___torch_mangle_";
  for (size_t start = name.find(kMangle); start != std::string::npos; start = name.find(kMangle, start)) {
    const size_t dot = name.find('.', start);
    if (dot == std::string::npos) break;
    name.erase(start, dot + 1 - start);
  }
  return Printable(name);
}

void StripPrefixes(std::vector<NamedTensor> *tensors) {
  while (StripPrefix("module.", tensors) || StripPrefix("_orig_mod.", tensors)) {
  }
}

}  // namespace

void CheckUnknownGlobals(const PickleDocument &document, const std::filesystem::path &path) {
  std::set<std::string> module_classes;
  for (const PickleValue &value : document.values) {
    const PickleValue *global = IsModule(value) ? GlobalOf(value) : nullptr;
    if (global != nullptr && value.constructed) module_classes.insert(global->text);
  }
  for (const PickleValue &value : document.values) {
    const bool object = value.Is(Kind::kObject);
    const PickleValue *global = object ? GlobalOf(value) : value.Is(Kind::kGlobal) ? &value : nullptr;
    if (global == nullptr || global->known) continue;
    if (!module_classes.contains(global->text) || (object && !IsModule(value))) throw RefusedGlobal(global->text, path);
  }
}

std::map<std::string, DType> StorageTypes(const PickleDocument &document, const std::filesystem::path &path) {
  std::map<std::string, DType> types;
  for (const PickleValue &value : document.values) {
    StorageId id;
    if (ReadStorageId(value, &id)) types.emplace(id.key, StorageDType(id, path));
  }
  return types;
}

void CollectTensors(const PickleDocument &document, const StorageMap &storages, TensorFile *file) {
  const PickleValue *source = FindStateDict(*document.root, file);
  Collector collector(storages, file);
  if (IsModule(*source)) {
    file->model_class = ModelClass(source);
    collector.AddModule(*source, "");
  } else {
    collector.AddDict(*source);
  }
  StripPrefixes(&file->tensors);
  if (file->tensors.empty()) {
    throw Error(Status::kUnsupported, "'" + file->path.string() + "' holds a module without any tensor",
                {{"path", file->path.string()}});
  }
}

void CollectScriptTensors(const PickleDocument &document, const StorageMap &storages, TensorFile *file) {
  if (!IsScriptModule(*document.root)) {
    throw Error(Status::kUnsupported,
                "'" + file->path.string() + "' is a TorchScript archive of something other than a module",
                {{"path", file->path.string()}});
  }
  file->model_class = ScriptClass(*document.root);
  Collector(storages, file).AddScriptModule(*document.root, "");
  StripPrefixes(&file->tensors);
  if (file->tensors.empty()) {
    throw Error(Status::kUnsupported,
                "'" + file->path.string() +
                    "' is a TorchScript archive without any parameter (was it frozen?): save the "
                    "state dict of the model it was made from",
                {{"path", file->path.string()}});
  }
}

}  // namespace trainyard
