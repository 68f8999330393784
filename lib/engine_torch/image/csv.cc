#include "engine_torch/image/csv.h"

#include "util/error.h"

namespace trainyard::image {

void CsvReader::Fail(size_t place, const std::string &what) const {
  const size_t column = place < line_start_ ? 1 : place - line_start_ + 1;
  throw Error::InvalidArgument(name_ + ":" + std::to_string(line_) + ":" + std::to_string(column) + ": " + what,
                               {{"path", name_}, {"line", std::to_string(line_)}});
}

void CsvReader::CheckSize() const {
  if (place_ - record_start_ <= limits_.record_bytes) return;
  Fail(place_, "the record that begins in line " + std::to_string(record_line_) + " is longer than " +
                   std::to_string(limits_.record_bytes) + " bytes; is a closing quote missing?");
}

void CsvReader::PassLineEnd() {
  if (place_ == text_.size()) return;
  place_ += text_[place_] == '\r' ? 2 : 1;
  ++line_;
  line_start_ = place_;
}

void CsvReader::ReadQuoted(std::string *field) {
  const size_t opening_line = line_;
  ++place_;
  for (;; ++place_) {
    if (place_ == text_.size())
      Fail(place_, "the quote that was opened in line " + std::to_string(opening_line) + " is never closed");
    CheckSize();
    const char letter = text_[place_];
    if (letter == '"') {
      if (place_ + 1 == text_.size() || text_[place_ + 1] != '"') break;
      ++place_;
    }
    if (letter == '\n') {
      ++line_;
      line_start_ = place_ + 1;
    }
    field->push_back(letter);
  }
  ++place_;
  if (!AtLineEnd() && text_[place_] != ',') {
    Fail(place_, "after a closing quote comes a comma or the end of the line; a quote inside a field is doubled");
  }
}

void CsvReader::ReadPlain(std::string *field) {
  const size_t start = place_;
  while (!AtLineEnd() && text_[place_] != ',') {
    CheckSize();
    if (text_[place_] == '"') Fail(place_, "a field with a quote in it must be in quotes, and the quote doubled");
    if (text_[place_] == '\r') Fail(place_, "a carriage return without a line feed; write LF or CR LF at line ends");
    ++place_;
  }
  field->assign(text_.substr(start, place_ - start));
}

void CsvReader::ReadField(std::string *field) {
  if (place_ < text_.size() && text_[place_] == '"') {
    ReadQuoted(field);
  } else {
    ReadPlain(field);
  }
}

bool CsvReader::Next(std::vector<std::string> *fields) {
  fields->clear();
  while (place_ < text_.size() && AtLineEnd()) PassLineEnd();
  if (place_ == text_.size()) return false;
  record_line_ = line_;
  record_start_ = place_;
  for (;;) {
    ReadField(&fields->emplace_back());
    if (AtLineEnd()) break;
    ++place_;  // the comma
    if (fields->size() == limits_.fields) Fail(place_, "more than " + std::to_string(limits_.fields) + " fields");
  }
  PassLineEnd();
  return true;
}

}  // namespace trainyard::image
