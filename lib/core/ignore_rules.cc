#include "core/ignore_rules.h"

namespace trainyard {
namespace {

// Spaces at the end, unless a backslash stands before the first of them. Tabs stay.
std::string_view WithoutTrailingSpaces(std::string_view line) {
  size_t keep = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      if (++i >= line.size()) return line;
      keep = i + 1;
    } else if (line[i] != ' ') {
      keep = i + 1;
    }
  }
  return line.substr(0, keep);
}

}  // namespace

IgnoreFile IgnoreFile::Parse(std::string_view text) {
  IgnoreFile file;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with('#')) continue;
    line = WithoutTrailingSpaces(line.substr(0, line.find('\0')));
    Line parsed;
    if (line.starts_with('!')) {
      parsed.negative = true;
      line.remove_prefix(1);
    }
    if (line.ends_with('/')) {
      parsed.directories_only = true;
      line.remove_suffix(1);
    }
    if (line.empty()) continue;
    parsed.name_only = line.find('/') == std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    parsed.pattern = WildPattern(line, parsed.name_only ? WildPattern::Scope::kName : WildPattern::Scope::kPath);
    file.lines_.push_back(std::move(parsed));
  }
  return file;
}

IgnoreFile::Verdict IgnoreFile::Match(std::string_view path, bool directory) const {
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    if (line->directories_only && !directory) continue;
    if (line->pattern.Matches(line->name_only ? name : path))
      return line->negative ? Verdict::kKept : Verdict::kIgnored;
  }
  return Verdict::kNone;
}

void IgnoreRules::Enter(std::string_view directory) {
  const auto applies = [&](const std::string &above) {
    return above.empty() || directory == above || (directory.starts_with(above) && directory[above.size()] == '/');
  };
  while (!levels_.empty() && !applies(levels_.back().directory)) levels_.pop_back();
}

bool IgnoreRules::Ignores(std::string_view path, bool directory) const {
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    const size_t skip = level->directory.empty() ? 0 : level->directory.size() + 1;
    const IgnoreFile::Verdict verdict = level->file.Match(path.substr(skip), directory);
    if (verdict != IgnoreFile::Verdict::kNone) return verdict == IgnoreFile::Verdict::kIgnored;
  }
  return false;
}

std::string IgnoreLineFor(std::string_view path, bool directory) {
  const size_t text_end = path.find_last_not_of(' ') + 1;
  std::string line = "/";
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '\n' || c == '\r') {  // end a line, escaped or not
      line += '?';
      continue;
    }
    if (c == '*' || c == '?' || c == '[' || c == '\\' || i >= text_end) line += '\\';
    line += c;
  }
  return directory ? line + "/" : line;
}

}  // namespace trainyard
