#include "util/json_scan.h"

#include <cstdint>
#include <string>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

class Scanner {
 public:
  Scanner(std::string_view text, std::string_view source, int max_depth)
      : text_(text), source_(source), max_depth_(max_depth) {}

  void Document() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") Fail("a byte order mark is not allowed");
    Spaces();
    Value(0);
    Spaces();
    if (at_ < text_.size()) Fail("unexpected text after the value");
  }

 private:
  [[noreturn]] void Fail(const std::string &what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      const bool end = text_[i] == '\n';
      line += end ? 1 : 0;
      column = end ? 1 : column + 1;
    }
    throw Error::InvalidArgument(std::string(source_) + ":" + std::to_string(line) + ":" + std::to_string(column) +
                                 ": " + what);
  }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Digit() const { return Peek() >= '0' && Peek() <= '9'; }

  void Spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  void Value(int depth) {
    if (depth > max_depth_) Fail("nested deeper than " + std::to_string(max_depth_) + " levels");
    switch (Peek()) {
      case '{':
        Container(depth, '}');
        break;
      case '[':
        Container(depth, ']');
        break;
      case '"':
        String();
        break;
      case 't':
        Word("true");
        break;
      case 'f':
        Word("false");
        break;
      case 'n':
        Word("null");
        break;
      default:
        if (Peek() != '-' && !Digit()) Fail(at_ < text_.size() ? "expected a value" : "unexpected end of the text");
        Number();
    }
  }

  void Container(int depth, char end) {
    ++at_;
    Spaces();
    if (Peek() == end) {
      ++at_;
      return;
    }
    for (;;) {
      if (end == '}') {
        if (Peek() != '"') Fail("expected a member name in double quotes");
        String();
        Spaces();
        if (Peek() != ':') Fail("expected ':'");
        ++at_;
        Spaces();
      }
      Value(depth + 1);
      Spaces();
      const char next = Peek();
      if (next != ',' && next != end) Fail(std::string("expected ',' or '") + end + "'");
      ++at_;
      if (next == end) return;
      Spaces();
    }
  }

  void Word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) Fail("expected a value");
    at_ += word.size();
  }

  void Digits() {
    if (!Digit()) Fail("expected a digit");
    while (Digit()) ++at_;
  }

  void Number() {
    const size_t start = at_;
    if (Peek() == '-') ++at_;
    if (Peek() == '0') {
      ++at_;
      if (Digit()) Fail("a number must not start with 0");
    } else {
      Digits();
    }
    if (Peek() == '.') {
      ++at_;
      Digits();
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      Digits();
    }
    // cJSON reads at most 63 characters of a number.
    if (at_ - start > 60) Fail("a number has more than 60 characters");
  }

  uint32_t Hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) Fail("expected four hexadecimal digits");
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    return value;
  }

  void Escape() {
    ++at_;
    const char c = Peek();
    if (c != 'u') {
      if (at_ >= text_.size() || std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos)
        Fail("bad escape in a string");
      ++at_;
      return;
    }
    ++at_;
    const uint32_t unit = Hex4();
    if (unit == 0) Fail("NUL is not allowed in a string");
    if (unit >= 0xDC00 && unit <= 0xDFFF) Fail("lone surrogate in a string");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
      if (text_.substr(at_, 2) != "\\u") Fail("lone surrogate in a string");
      at_ += 2;
      const uint32_t low = Hex4();
      if (low < 0xDC00 || low > 0xDFFF) Fail("lone surrogate in a string");
    }
  }

  void String() {
    const size_t start = at_++;
    for (;;) {
      if (at_ >= text_.size()) Fail("a string does not end");
      const char c = text_[at_];
      if (c == '"') break;
      if (static_cast<uint8_t>(c) < 0x20) Fail("control character in a string");
      if (c == '\\') {
        Escape();
      } else {
        ++at_;
      }
    }
    ++at_;
    if (!IsValidUtf8(text_.substr(start, at_ - start))) {
      at_ = start;
      Fail("a string is not valid UTF-8");
    }
  }

  std::string_view text_;
  std::string_view source_;
  int max_depth_;
  size_t at_ = 0;
};

}  // namespace

void CheckJsonText(std::string_view text, std::string_view source, int max_depth) {
  Scanner(text, source, max_depth).Document();
}

}  // namespace trainyard
