#include "engine_torch/weights/pickle.h"

#include <bit>
#include <charconv>
#include <unordered_map>

namespace trainyard {
namespace {

// Far above any state dict (a 1,000-layer one has about 100,000 values), low enough to bound memory.
constexpr size_t kMaxValues = 2'000'000;
constexpr size_t kMaxMarks = 10'000;

// The opcodes of Python's pickletools, by their names there.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kFloat = 'F',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kPersId = 'P',
  kBinPersId = 'Q',
  kReduce = 'R',
  kString = 'S',
  kBinString = 'T',
  kShortBinString = 'U',
  kUnicode = 'V',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kGet = 'g',
  kBinGet = 'h',
  kInst = 'i',
  kLongBinGet = 'j',
  kList = 'l',
  kEmptyList = ']',
  kObj = 'o',
  kPut = 'p',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinFloat = 'G',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

// The stack machine of one pickle. Not recursive, so the depth of the data costs no stack.
class Machine {
 public:
  using Kind = PickleValue::Kind;

  Machine(Bytes bytes, const std::filesystem::path &path, const GlobalPolicy &policy, size_t start)
      : bytes_(bytes), path_(path), policy_(policy), position_(start) {}

  PickleDocument Run() {
    for (;;) {
      const unsigned char opcode = ReadNumber<unsigned char>();
      if (opcode == kStop) break;
      if (!StepScalar(opcode) && !StepContainer(opcode) && !StepObject(opcode)) {
        throw Bad("unknown opcode " + std::to_string(opcode));
      }
    }
    document_.root = Pop();
    document_.end = position_;
    return std::move(document_);
  }

 private:
  Error Bad(const std::string &what) const {
    return Error::Corrupt("'" + path_.string() + "' holds a damaged pickle: " + what + " at byte " +
                              std::to_string(position_) + "; copy or download it again",
                          {{"path", path_.string()}});
  }

  // --- bytes ---
  Bytes Read(uint64_t count) {
    if (count > bytes_.size() - position_) {
      uint64_t expected = 0;
      if (__builtin_add_overflow(static_cast<uint64_t>(position_), count, &expected)) throw Bad("impossible length");
      throw Truncated(path_, "its pickle ends early", expected, bytes_.size());
    }
    const Bytes result = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return result;
  }
  template <typename T>
  T ReadNumber() {
    return LoadLittleEndian<T>(Read(sizeof(T)), 0);
  }
  template <typename Length>
  std::string ReadString() {
    const Length length = ReadNumber<Length>();
    if constexpr (std::is_signed_v<Length>) {
      if (length < 0) throw Bad("negative length");
    }
    return std::string(AsText(Read(static_cast<uint64_t>(length))));
  }
  std::string_view ReadLine() {
    const std::string_view rest = AsText(bytes_.subspan(position_));
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      throw Truncated(path_, "its pickle ends early", bytes_.size() + 1, bytes_.size());
    }
    position_ += end + 1;
    return rest.substr(0, end);
  }

  // --- values ---
  PickleValue *Make(Kind kind) {
    if (document_.values.size() == kMaxValues) {
      throw Error(Status::kUnsupported,
                  "'" + path_.string() + "' holds a pickle of more than " + std::to_string(kMaxValues) +
                      " values; save the state dict alone: torch.save(model.state_dict(), path)",
                  {{"path", path_.string()}});
    }
    PickleValue &value = document_.values.emplace_back();
    value.kind = kind;
    return &value;
  }
  void PushInt(int64_t number, Kind kind = Kind::kInt) {
    PickleValue *value = Make(kind);
    value->integer = number;
    stack_.push_back(value);
  }
  void PushText(std::string text, Kind kind) {
    PickleValue *value = Make(kind);
    value->text = std::move(text);
    stack_.push_back(value);
  }
  // LONG1 and LONG4: two's complement of any length.
  void PushLong(const std::string &digits) {
    if (digits.size() > sizeof(int64_t)) return PushText(digits, Kind::kBigInt);
    uint64_t number = !digits.empty() && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) number = number << 8 | static_cast<unsigned char>(digits[i]);
    PushInt(static_cast<int64_t>(number));
  }
  void PushDecimal(std::string_view line) {
    if (!line.empty() && line.back() == 'L') line.remove_suffix(1);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc() || end != line.data() + line.size()) throw Bad("not a number");
    // Protocol 1 and older write True and False as the lines "01" and "00".
    PushInt(number, line == "01" || line == "00" ? Kind::kBool : Kind::kInt);
  }
  void PushReal(double real) {
    PickleValue *value = Make(Kind::kFloat);
    value->real = real;
    stack_.push_back(value);
  }

  // --- stack; a value below the last mark is out of reach, as in Python ---
  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue *Pop() {
    PickleValue *value = Top();
    stack_.pop_back();
    return value;
  }
  PickleValue *Top() {
    if (stack_.size() <= Floor()) throw Bad("its stack is empty");
    return stack_.back();
  }
  std::vector<PickleValue *> PopToMark() {
    if (marks_.empty()) throw Bad("a mark is missing");
    std::vector<PickleValue *> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void PushItems(Kind kind, std::vector<PickleValue *> items) {
    PickleValue *value = Make(kind);
    value->items = std::move(items);
    stack_.push_back(value);
  }
  void PushTuple(size_t count) {
    std::vector<PickleValue *> items(count);
    for (size_t i = count; i-- > 0;) items[i] = Pop();
    PushItems(Kind::kTuple, std::move(items));
  }

  // --- memo ---
  void Put(uint64_t index) { memo_[index] = Top(); }
  void Get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) throw Bad("memo entry " + std::to_string(index) + " is missing");
    stack_.push_back(found->second);
  }
  uint64_t ReadIndexLine() {
    const std::string_view line = ReadLine();
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), index);
    if (error != std::errc() || end != line.data() + line.size()) throw Bad("not a memo number");
    return index;
  }

  // --- names, calls and what is added to containers ---
  PickleValue *Global(std::string_view module, std::string_view name) {
    PickleValue *value = Make(Kind::kGlobal);
    value->text = std::string(module) + "." + std::string(name);
    const GlobalVerdict verdict = policy_(module, name);
    if (verdict == GlobalVerdict::kRefuse) throw RefusedGlobal(value->text, path_);
    value->known = verdict == GlobalVerdict::kAllow;
    return value;
  }
  void PushCall(PickleValue *callable, PickleValue *arguments, bool constructed) {
    if (!constructed && callable->Is(Kind::kGlobal) && !callable->known) throw RefusedGlobal(callable->text, path_);
    PickleValue *value = Make(Kind::kObject);
    value->callable = callable;
    value->arguments = arguments;
    value->constructed = constructed;
    stack_.push_back(value);
  }
  void Append(PickleValue *target, const std::vector<PickleValue *> &items) {
    if (!target->Is(Kind::kList) && !target->Is(Kind::kSet) && !target->Is(Kind::kObject)) {
      throw Bad("items are added to something that is no list");
    }
    target->items.insert(target->items.end(), items.begin(), items.end());
  }
  void SetItems(PickleValue *target, const std::vector<PickleValue *> &items) {
    if (!target->Is(Kind::kDict) && !target->Is(Kind::kObject)) throw Bad("keys are set in something that is no dict");
    if (items.size() % 2 != 0) throw Bad("a key has no value");
    for (size_t i = 0; i < items.size(); i += 2) target->entries.emplace_back(items[i], items[i + 1]);
  }

  bool StepScalar(unsigned char opcode) {
    switch (opcode) {
      case kProto:
        if (ReadNumber<uint8_t>() > 5) throw Bad("a pickle protocol newer than 5");
        return true;
      case kFrame:
        ReadNumber<uint64_t>();  // a hint for buffered readers
        return true;
      case kNone:
        return stack_.push_back(Make(Kind::kNone)), true;
      case kNewTrue:
        return PushInt(1, Kind::kBool), true;
      case kNewFalse:
        return PushInt(0, Kind::kBool), true;
      case kBinInt:
        return PushInt(ReadNumber<int32_t>()), true;
      case kBinInt1:
        return PushInt(ReadNumber<uint8_t>()), true;
      case kBinInt2:
        return PushInt(ReadNumber<uint16_t>()), true;
      case kLong1:
        return PushLong(ReadString<uint8_t>()), true;
      case kLong4:
        return PushLong(ReadString<int32_t>()), true;
      case kInt:
      case kLong:
        return PushDecimal(ReadLine()), true;
      case kBinFloat:  // the one big-endian number in the format
        return PushReal(std::bit_cast<double>(__builtin_bswap64(ReadNumber<uint64_t>()))), true;
      case kFloat: {
        const std::string_view line = ReadLine();
        double real = 0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), real);
        if (error != std::errc() || end != line.data() + line.size()) throw Bad("not a number");
        return PushReal(real), true;
      }
      case kBinUnicode:
        return PushText(ReadString<uint32_t>(), Kind::kString), true;
      case kShortBinUnicode:
      case kShortBinString:  // Python 2's str
        return PushText(ReadString<uint8_t>(), Kind::kString), true;
      case kBinString:
        return PushText(ReadString<int32_t>(), Kind::kString), true;
      case kBinUnicode8:
        return PushText(ReadString<uint64_t>(), Kind::kString), true;
      case kUnicode:
        return PushText(std::string(ReadLine()), Kind::kString), true;
      case kString: {  // quoted; its escapes are kept as they are, no weight file has any
        std::string_view line = ReadLine();
        if (line.size() < 2 || line.front() != line.back()) throw Bad("an unquoted string");
        return PushText(std::string(line.substr(1, line.size() - 2)), Kind::kString), true;
      }
      case kBinBytes:
        return PushText(ReadString<uint32_t>(), Kind::kBytes), true;
      case kShortBinBytes:
        return PushText(ReadString<uint8_t>(), Kind::kBytes), true;
      case kBinBytes8:
      case kByteArray8:
        return PushText(ReadString<uint64_t>(), Kind::kBytes), true;
      default:
        return false;
    }
  }

  bool StepContainer(unsigned char opcode) {
    switch (opcode) {
      case kMark:
        if (marks_.size() == kMaxMarks) throw Bad("containers nested too deep");
        return marks_.push_back(stack_.size()), true;
      case kPop:
        // Python pops the mark itself when nothing lies above it.
        if (!marks_.empty() && stack_.size() == marks_.back()) {
          marks_.pop_back();
        } else {
          Pop();
        }
        return true;
      case kPopMark:
        return PopToMark(), true;
      case kDup:
        return stack_.push_back(Top()), true;
      case kEmptyTuple:
        return PushItems(Kind::kTuple, {}), true;
      case kEmptyList:
        return PushItems(Kind::kList, {}), true;
      case kEmptyDict:
        return PushItems(Kind::kDict, {}), true;
      case kEmptySet:
        return PushItems(Kind::kSet, {}), true;
      case kTuple:
        return PushItems(Kind::kTuple, PopToMark()), true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return PushTuple(opcode - kTuple1 + 1U), true;
      case kList:
        return PushItems(Kind::kList, PopToMark()), true;
      case kFrozenSet:
        return PushItems(Kind::kSet, PopToMark()), true;
      case kDict: {
        const std::vector<PickleValue *> items = PopToMark();
        PushItems(Kind::kDict, {});
        return SetItems(Top(), items), true;
      }
      case kAppend: {
        PickleValue *item = Pop();
        return Append(Top(), {item}), true;
      }
      case kAppends:
      case kAddItems: {
        const std::vector<PickleValue *> items = PopToMark();
        return Append(Top(), items), true;
      }
      case kSetItem: {
        PickleValue *value = Pop();
        PickleValue *key = Pop();
        return SetItems(Top(), {key, value}), true;
      }
      case kSetItems: {
        const std::vector<PickleValue *> items = PopToMark();
        return SetItems(Top(), items), true;
      }
      default:
        return false;
    }
  }

  bool StepObject(unsigned char opcode) {
    switch (opcode) {
      case kGlobal: {
        const std::string_view module = ReadLine();
        const std::string_view name = ReadLine();
        return stack_.push_back(Global(module, name)), true;
      }
      case kStackGlobal: {
        const PickleValue *name = Pop();
        const PickleValue *module = Pop();
        if (!name->Is(Kind::kString) || !module->Is(Kind::kString)) throw Bad("an import without a name");
        return stack_.push_back(Global(module->text, name->text)), true;
      }
      case kReduce:
      case kNewObj: {
        PickleValue *arguments = Pop();
        PickleValue *callable = Pop();
        return PushCall(callable, arguments, opcode == kNewObj), true;
      }
      case kNewObjEx: {
        Pop();  // keyword arguments
        PickleValue *arguments = Pop();
        PickleValue *callable = Pop();
        return PushCall(callable, arguments, true), true;
      }
      case kInst: {
        const std::string_view module = ReadLine();
        const std::string_view name = ReadLine();
        PickleValue *callable = Global(module, name);
        PushItems(Kind::kTuple, PopToMark());
        return PushCall(callable, Pop(), false), true;
      }
      case kObj: {
        std::vector<PickleValue *> items = PopToMark();
        if (items.empty()) throw Bad("an object without a class");
        PickleValue *callable = items.front();
        items.erase(items.begin());
        PushItems(Kind::kTuple, std::move(items));
        return PushCall(callable, Pop(), false), true;
      }
      case kBuild: {
        PickleValue *state = Pop();
        return Top()->state = state, true;
      }
      case kBinPersId:
        return PushItems(Kind::kPersistentId, {Pop()}), true;
      case kPersId:
        PushText(std::string(ReadLine()), Kind::kString);
        return PushItems(Kind::kPersistentId, {Pop()}), true;
      case kBinPut:
        return Put(ReadNumber<uint8_t>()), true;
      case kLongBinPut:
        return Put(ReadNumber<uint32_t>()), true;
      case kPut:
        return Put(ReadIndexLine()), true;
      case kMemoize:
        return Put(memo_.size()), true;
      case kBinGet:
        return Get(ReadNumber<uint8_t>()), true;
      case kLongBinGet:
        return Get(ReadNumber<uint32_t>()), true;
      case kGet:
        return Get(ReadIndexLine()), true;
      default:
        return false;
    }
  }

  const Bytes bytes_;
  const std::filesystem::path &path_;
  const GlobalPolicy &policy_;
  size_t position_;
  PickleDocument document_;
  std::vector<PickleValue *> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue *> memo_;
};

}  // namespace

const PickleValue *PickleValue::Find(std::string_view key) const {
  for (size_t i = entries.size(); i-- > 0;) {
    if (entries[i].first->Is(Kind::kString) && entries[i].first->text == key) return entries[i].second;
  }
  return nullptr;
}

Error RefusedGlobal(const std::string &global, const std::filesystem::path &path) {
  const std::string name = Printable(global);
  return {Status::kUnsupported,
          "'" + path.string() + "' asks to import '" + name +
              "', which is not on the list of names that weight files need; nothing was executed. If you trust the "
              "file, save its weights alone in Python: torch.save(model.state_dict(), path)",
          {{"path", path.string()}, {"import", name}}};
}

PickleDocument ReadPickle(Bytes bytes, const std::filesystem::path &path, const GlobalPolicy &policy, size_t start) {
  return Machine(bytes, path, policy, start).Run();
}

}  // namespace trainyard
