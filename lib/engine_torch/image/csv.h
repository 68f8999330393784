// Records of a CSV text (RFC 4180): fields between commas; a field in double quotes may hold commas, line ends and
// quotes, these doubled; lines end with LF or CR LF, the last one also with nothing. Empty lines are passed over. What
// the format does not allow is an error, never a guess.
//
// Thread rule: one thread at a time; the text must outlive the reader.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainyard::image {

struct CsvLimits {
  size_t record_bytes = size_t{1} << 20;
  size_t fields = 1000;
};

class CsvReader {
 public:
  // `name` is what errors call the text: Error::InvalidArgument "<name>:<line>:<column>: <what>".
  CsvReader(std::string_view text, std::string name, const CsvLimits &limits = {})
      : text_(text), name_(std::move(name)), limits_(limits) {}

  // The next record into `fields`; false at the end of the text.
  bool Next(std::vector<std::string> *fields);
  // Where the last record began, from 1.
  size_t line() const { return record_line_; }

 private:
  void ReadField(std::string *field);
  void ReadQuoted(std::string *field);
  void ReadPlain(std::string *field);
  bool AtLineEnd() const { return place_ == text_.size() || text_[place_] == '\n' || AtCrLf(); }
  bool AtCrLf() const { return text_[place_] == '\r' && place_ + 1 < text_.size() && text_[place_ + 1] == '\n'; }
  void PassLineEnd();
  void CheckSize() const;
  [[noreturn]] void Fail(size_t place, const std::string &what) const;

  std::string_view text_;
  std::string name_;
  CsvLimits limits_;
  size_t place_ = 0;
  size_t line_ = 1;        // of place_
  size_t line_start_ = 0;  // its first byte
  size_t record_line_ = 1;
  size_t record_start_ = 0;
};

}  // namespace trainyard::image
