// The last lines of a stream, in bounded memory: what a rank said last is the evidence of why it failed. Thread rule:
// one thread at a time.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace trainyard {

class LineTail {
 public:
  explicit LineTail(size_t max_lines = 50, size_t max_line_bytes = 4096)
      : max_lines_(max_lines), max_line_bytes_(max_line_bytes) {}

  // Any bytes. A carriage return starts the line again, as on a terminal: a progress bar is one line. Of a line that is
  // too long the beginning is kept.
  void Append(std::string_view data);
  // Lines joined by '\n', the one not ended yet included.
  std::string Text() const;

 private:
  void Put(char c);

  const size_t max_lines_, max_line_bytes_;
  std::deque<std::string> lines_;
  std::string current_;
  bool returned_ = false;  // the last byte was '\r'
};

}  // namespace trainyard
