#include "launch/expand.h"

namespace trainyard {
namespace {

bool IsLetter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// The end of the name that starts at `start`; `start` when none does.
size_t EndOfName(std::string_view text, size_t start) {
  size_t end = start;
  while (end < text.size() && (IsLetter(text[end]) || (end > start && text[end] >= '0' && text[end] <= '9'))) ++end;
  return end;
}

}  // namespace

const char *FindVariable(const std::vector<std::string> &environment, std::string_view name) {
  for (const std::string &entry : environment) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return entry.c_str() + name.size() + 1;
    }
  }
  return nullptr;
}

std::string ExpandVariables(std::string_view text, const std::vector<std::string> &environment) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '$') {
      result += text[at++];
      continue;
    }
    if (text.substr(at, 2) == "$$") {
      result += "$$";
      at += 2;
      continue;
    }
    const bool braces = text.substr(at, 2) == "${";
    const size_t start = at + (braces ? 2 : 1);
    const size_t end = EndOfName(text, start);
    const bool complete = end > start && (!braces || (end < text.size() && text[end] == '}'));
    const char *value = complete ? FindVariable(environment, text.substr(start, end - start)) : nullptr;
    if (value == nullptr) {
      result += text[at++];
      continue;
    }
    result += value;
    at = braces ? end + 1 : end;
  }
  return result;
}

std::vector<std::string> ExpandCommand(std::vector<std::string> command, size_t from,
                                       const std::vector<std::string> &environment) {
  for (size_t i = from; i < command.size(); ++i) command[i] = ExpandVariables(command[i], environment);
  return command;
}

}  // namespace trainyard
