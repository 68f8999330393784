// Writes one Python pickle, opcode by opcode: the subset that torch.load(weights_only=True) reads. Thread rule: a
// value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace trainyard {

// A stack machine's program: None() to EmptyDict() push a value; the rest take what is on the stack, as Python's
// pickletools describes the opcodes of the same names.
class PickleWriter {
 public:
  void None() { bytes_ += 'N'; }
  void Bool(bool value) { bytes_ += value ? '\x88' : '\x89'; }
  void Int(int64_t value);
  void Float(double value);
  // Throws kInvalidArgument for what is no UTF-8 text.
  void String(std::string_view text);
  void Global(std::string_view module, std::string_view name);
  void EmptyTuple() { bytes_ += ')'; }
  void EmptyList() { bytes_ += ']'; }
  void EmptyDict() { bytes_ += '}'; }

  void Mark() { bytes_ += '('; }
  void Tuple() { bytes_ += 't'; }     // of what lies above the mark
  void Appends() { bytes_ += 'e'; }   // what lies above the mark to the list below it
  void SetItems() { bytes_ += 'u'; }  // keys and values above the mark in the dict below it
  void Reduce() { bytes_ += 'R'; }    // calls the function below with the tuple on top
  void PersistentId() { bytes_ += 'Q'; }

  // Ends it; call once.
  std::string Finish() { return std::move(bytes_ += '.'); }

 private:
  template <typename T>
  void Raw(T number) {
    bytes_.append(reinterpret_cast<const char *>(&number), sizeof number);
  }

  std::string bytes_ = "\x80\x02";                               // protocol 2
  std::map<std::string, uint32_t, std::less<>> global_indices_;  // in the reader's memo
};

}  // namespace trainyard
