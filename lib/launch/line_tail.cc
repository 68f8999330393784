#include "launch/line_tail.h"

namespace trainyard {

void LineTail::Append(std::string_view data) {
  for (const char c : data) Put(c);
}

void LineTail::Put(char c) {
  if (c == '\n') {
    lines_.push_back(std::move(current_));
    current_.clear();
    returned_ = false;
    if (lines_.size() > max_lines_) lines_.pop_front();
    return;
  }
  if (returned_) current_.clear();
  returned_ = c == '\r';
  if (!returned_ && current_.size() < max_line_bytes_) current_.push_back(c);
}

std::string LineTail::Text() const {
  std::string text;
  const size_t skip = !current_.empty() && lines_.size() == max_lines_ ? 1 : 0;
  for (size_t i = skip; i < lines_.size(); ++i) {
    if (!text.empty()) text += '\n';
    text += lines_[i];
  }
  if (!current_.empty()) {
    if (!text.empty()) text += '\n';
    text += current_;
  }
  return text;
}

}  // namespace trainyard
