#include "engine_torch/weights/torch_writer.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "engine_torch/weights/pickle_writer.h"
#include "engine_torch/weights/torch_globals.h"
#include "util/atomic_file.h"

namespace trainyard {
namespace {

// The archive (torch_file.cc tells how it is read):
// 1. archive/data.pkl: the value; a tensor is the call torch._utils._rebuild_tensor_v2(storage, offset, size, stride,
//    requires_grad, hooks), its storage the persistent id ('storage', torch.<Type>Storage, key, 'cpu', elements);
// 2. archive/.format_version: "1": the storages follow in the order of their keys, which are "0", "1", ...;
// 3. archive/.storage_alignment: "64"; archive/byteorder: "little";
// 4. archive/data/<key>: the elements of one storage;
// 5. archive/version: "3\n", the least that a reader of the format must know.
constexpr const char *kFolder = "archive";

struct Storage {
  DType dtype = DType::kFloat32;
  Bytes bytes;
  std::string key;
};

struct Place {
  size_t storage = 0;
  int64_t offset = 0;  // in elements
};

uint64_t Begin(Bytes bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data());
}

// Which bytes become which storage: tensors of one type whose bytes overlap share one, as they do in memory.
class StoragePlan {
 public:
  StoragePlan(const TorchValue &value, const std::filesystem::path &path) : path_(path) {
    Collect(value);
    std::vector<const NamedTensor *> sorted;
    for (const NamedTensor *tensor : tensors_) {
      if (tensor->data.empty()) {
        AddStorage(*tensor);
      } else {
        sorted.push_back(tensor);
      }
    }
    std::sort(sorted.begin(), sorted.end(), [](const NamedTensor *a, const NamedTensor *b) {
      if (a->dtype != b->dtype) return a->dtype < b->dtype;
      return Begin(a->data) < Begin(b->data);
    });
    for (const NamedTensor *tensor : sorted) Assign(*tensor);
    // Keys in the order in which a reader meets them.
    for (const NamedTensor *tensor : tensors_) {
      const size_t index = places_.at(tensor).storage;
      if (!storages_[index].key.empty()) continue;
      storages_[index].key = std::to_string(order_.size());
      order_.push_back(index);
    }
  }

  const Place &PlaceOf(const NamedTensor &tensor) const { return places_.at(&tensor); }
  const Storage &At(const Place &place) const { return storages_[place.storage]; }
  size_t size() const { return order_.size(); }
  const Storage &InOrder(size_t index) const { return storages_[order_[index]]; }

 private:
  void Collect(const TorchValue &value) {
    if (const auto *tensor = std::get_if<const NamedTensor *>(&value.held)) {
      Check(**tensor);
      if (places_.emplace(*tensor, Place()).second) tensors_.push_back(*tensor);
    } else if (const auto *list = std::get_if<TorchList>(&value.held)) {
      for (const TorchValue &item : *list) Collect(item);
    } else if (const auto *dict = std::get_if<TorchDict>(&value.held)) {
      for (const TorchValue &item : dict->items) Collect(item);
    }
  }

  void Check(const NamedTensor &tensor) const {
    uint64_t reach = 0;
    const bool strided = tensor.strides.empty() || tensor.strides.size() == tensor.shape.size();
    if (strided && ReachOf(tensor, &reach) && tensor.data.size() == reach * SizeOf(tensor.dtype)) return;
    throw Error::InvalidArgument("cannot write '" + path_.string() + "': the bytes of tensor '" +
                                 Printable(tensor.name) + "' do not fit its shape");
  }

  void AddStorage(const NamedTensor &tensor) {
    places_.at(&tensor) = {storages_.size(), 0};
    storages_.push_back({tensor.dtype, tensor.data, ""});
  }

  // Tensors come sorted by type and first byte, so that only the last storage can hold the next one's.
  void Assign(const NamedTensor &tensor) {
    if (storages_.empty() || storages_.back().dtype != tensor.dtype) return AddStorage(tensor);
    Storage &last = storages_.back();
    const uint64_t distance = Begin(tensor.data) - Begin(last.bytes);
    if (distance >= last.bytes.size() || distance % SizeOf(tensor.dtype) != 0) return AddStorage(tensor);
    last.bytes = {last.bytes.data(), std::max<size_t>(last.bytes.size(), distance + tensor.data.size())};
    places_.at(&tensor) = {storages_.size() - 1, static_cast<int64_t>(distance / SizeOf(tensor.dtype))};
  }

  const std::filesystem::path &path_;
  std::vector<const NamedTensor *> tensors_;  // in the order of the value, each once
  std::unordered_map<const NamedTensor *, Place> places_;
  std::vector<Storage> storages_;
  std::vector<size_t> order_;  // of storages_, by key
};

class ValueWriter {
 public:
  explicit ValueWriter(const StoragePlan &plan) : plan_(plan) {}

  std::string Write(const TorchValue &value) {
    Add(value);
    return pickle_.Finish();
  }

 private:
  void Add(const TorchValue &value) {
    std::visit([this](const auto &held) { Add(held); }, value.held);
  }
  void Add(std::monostate /*none*/) { pickle_.None(); }
  void Add(bool value) { pickle_.Bool(value); }
  void Add(int64_t value) { pickle_.Int(value); }
  void Add(double value) { pickle_.Float(value); }
  void Add(const std::string &value) { pickle_.String(value); }
  void Add(const TorchList &list) {
    pickle_.EmptyList();
    pickle_.Mark();
    for (const TorchValue &item : list) Add(item);
    pickle_.Appends();
  }
  void Add(const TorchDict &dict) {
    dict.ordered ? EmptyOrderedDict() : pickle_.EmptyDict();
    pickle_.Mark();
    for (const TorchValue &item : dict.items) Add(item);
    pickle_.SetItems();
  }
  void Add(const NamedTensor *tensor) {
    const Place &place = plan_.PlaceOf(*tensor);
    const Storage &storage = plan_.At(place);
    pickle_.Global("torch._utils", "_rebuild_tensor_v2");
    pickle_.Mark();
    pickle_.Mark();
    pickle_.String("storage");
    pickle_.Global("torch", StorageOf(storage.dtype));
    pickle_.String(storage.key);
    pickle_.String("cpu");
    pickle_.Int(static_cast<int64_t>(storage.bytes.size() / SizeOf(storage.dtype)));
    pickle_.Tuple();
    pickle_.PersistentId();
    pickle_.Int(place.offset);
    Ints(tensor->shape);
    Ints(tensor->strides.empty() ? RowMajor(tensor->shape) : tensor->strides);
    pickle_.Bool(false);  // requires_grad
    EmptyOrderedDict();   // hooks
    pickle_.Tuple();
    pickle_.Reduce();
  }

  void EmptyOrderedDict() {
    pickle_.Global("collections", "OrderedDict");
    pickle_.EmptyTuple();
    pickle_.Reduce();
  }
  void Ints(const std::vector<int64_t> &numbers) {
    pickle_.Mark();
    for (const int64_t number : numbers) pickle_.Int(number);
    pickle_.Tuple();
  }
  // As PyTorch has them, where a dimension of size 0 counts as 1.
  static std::vector<int64_t> RowMajor(const std::vector<int64_t> &shape) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
    return strides;
  }

  const StoragePlan &plan_;
  PickleWriter pickle_;
};

}  // namespace

void TorchDict::Set(TorchValue key, TorchValue value) {
  items.push_back(std::move(key));
  items.push_back(std::move(value));
}

TorchDict StateDictOf(std::span<const NamedTensor> tensors) {
  TorchDict dict;
  dict.ordered = true;
  std::set<std::string_view> names;
  for (const NamedTensor &tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw Error::InvalidArgument("tensor '" + Printable(tensor.name) + "' is there twice");
    dict.Set(tensor.name, &tensor);
  }
  return dict;
}

void WriteTorchArchive(const TorchValue &value, const std::filesystem::path &path, const ByteSink &sink) {
  const StoragePlan plan(value, path);
  const std::string pickle = ValueWriter(plan).Write(value);
  ZipWriter zip(kFolder, sink);
  zip.Add("data.pkl", AsBytes(pickle));
  zip.Add(".format_version", AsBytes("1"));
  zip.Add(".storage_alignment", AsBytes("64"));
  zip.Add("byteorder", AsBytes("little"));
  for (size_t i = 0; i < plan.size(); ++i) zip.Add("data/" + plan.InOrder(i).key, plan.InOrder(i).bytes);
  zip.Add("version", AsBytes("3\n"));
  zip.Finish();
}

void WriteTorchFile(const std::filesystem::path &path, const TorchValue &value) {
  AtomicFile file(path);
  WriteTorchArchive(value, path, [&file](const void *data, size_t size) { file.Write(data, size); });
  file.Commit();
}

}  // namespace trainyard
