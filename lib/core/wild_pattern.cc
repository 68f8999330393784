#include "core/wild_pattern.h"

#include <array>
#include <cctype>

namespace trainyard {
namespace {

constexpr std::string_view kSpecial = "*?[\\";

struct NamedClass {
  std::string_view name;
  bool (*holds)(unsigned char c);
};

bool IsBetween(unsigned char c, char first, char last) {
  return c >= static_cast<unsigned char>(first) && c <= static_cast<unsigned char>(last);
}
bool IsLower(unsigned char c) {
  return IsBetween(c, 'a', 'z');
}
bool IsUpper(unsigned char c) {
  return IsBetween(c, 'A', 'Z');
}
bool IsDigit(unsigned char c) {
  return IsBetween(c, '0', '9');
}
bool IsAlpha(unsigned char c) {
  return IsLower(c) || IsUpper(c);
}
bool IsPrint(unsigned char c) {
  return IsBetween(c, ' ', '~');
}

// Of ASCII, whatever the locale.
constexpr std::array<NamedClass, 12> kNamedClasses = {{
    {"alnum", [](unsigned char c) { return IsAlpha(c) || IsDigit(c); }},
    {"alpha", IsAlpha},
    {"blank", [](unsigned char c) { return c == ' ' || c == '\t'; }},
    {"cntrl", [](unsigned char c) { return c < ' ' || c == 0x7F; }},
    {"digit", IsDigit},
    {"graph", [](unsigned char c) { return IsPrint(c) && c != ' '; }},
    {"lower", IsLower},
    {"print", IsPrint},
    {"punct", [](unsigned char c) { return IsPrint(c) && c != ' ' && !IsAlpha(c) && !IsDigit(c); }},
    {"space", [](unsigned char c) { return c == ' ' || IsBetween(c, '\t', '\r'); }},
    {"upper", IsUpper},
    {"xdigit", [](unsigned char c) { return IsDigit(c) || IsBetween(c, 'a', 'f') || IsBetween(c, 'A', 'F'); }},
}};

}  // namespace

// Reads a pattern from its first special character on.
class WildPattern::Compiler {
 public:
  Compiler(std::string_view pattern, Scope scope, WildPattern *out) : pattern_(pattern), scope_(scope), out_(out) {}

  void Run() {
    while (at_ < pattern_.size()) {
      switch (pattern_[at_]) {
        case '*':
          Stars();
          break;
        case '?':
          ++at_;
          Add(Token::Kind::kAny);
          break;
        case '[':
          if (!Brackets()) return Never();
          break;
        case '\\':
          if (++at_ == pattern_.size()) return Never();
          [[fallthrough]];
        default:
          Add(Token::Kind::kCharacter, pattern_[at_++]);
      }
    }
  }

 private:
  void Add(Token::Kind kind, char character = 0, size_t index = 0) {
    out_->tokens_.push_back({kind, character, index});
  }
  void Never() { Add(Token::Kind::kNever); }

  void Stars() {
    const size_t start = at_;
    while (at_ < pattern_.size() && pattern_[at_] == '*') ++at_;
    const std::string_view rest = pattern_.substr(at_);
    if (scope_ == Scope::kName) return Add(Token::Kind::kStarStar);
    // Two stars are more than one only as a whole part of the path.
    const bool part_starts = start == 0 || pattern_[start - 1] == '/';
    const bool part_ends = rest.empty() || rest.starts_with("/") || rest.starts_with("\\/");
    if (at_ - start < 2 || !part_starts || !part_ends) return Add(Token::Kind::kStar);
    if (!rest.starts_with("/")) return Add(Token::Kind::kStarStar);
    ++at_;
    Add(Token::Kind::kDirectories);
  }

  // False when the class does not end.
  bool Brackets() {
    Class characters;
    size_t i = at_ + 1;
    const bool negative = i < pattern_.size() && (pattern_[i] == '!' || pattern_[i] == '^');
    if (negative) ++i;
    int previous = -1;  // where a range may start
    for (bool first = true;; first = false) {
      if (i >= pattern_.size()) return false;
      if (pattern_[i] == ']' && !first) break;
      if (pattern_[i] == '-' && previous >= 0 && i + 1 < pattern_.size() && pattern_[i + 1] != ']') {
        ++i;
        if (pattern_[i] == '\\' && ++i >= pattern_.size()) return false;
        for (int c = previous; c <= Byte(i); ++c) characters.set(static_cast<size_t>(c));
        previous = -1;
        ++i;
      } else if (pattern_[i] == '[' && i + 1 < pattern_.size() && pattern_[i + 1] == ':') {
        const size_t end = pattern_.find(']', i + 2);
        if (end == std::string_view::npos) return false;
        if (end > i + 2 && pattern_[end - 1] == ':') {
          if (!AddNamed(pattern_.substr(i + 2, end - i - 3), &characters)) return false;
          previous = -1;
          i = end + 1;
        } else {  // no name after all: a bracket like any other character
          characters.set('[');
          previous = '[';
          ++i;
        }
      } else {
        if (pattern_[i] == '\\' && ++i >= pattern_.size()) return false;
        previous = Byte(i);
        characters.set(static_cast<size_t>(previous));
        ++i;
      }
    }
    if (negative) characters.flip();
    if (scope_ == Scope::kPath) characters.reset('/');
    out_->classes_.push_back(characters);
    Add(Token::Kind::kClass, 0, out_->classes_.size() - 1);
    at_ = i + 1;
    return true;
  }

  static bool AddNamed(std::string_view name, Class *characters) {
    for (const NamedClass &known : kNamedClasses) {
      if (known.name != name) continue;
      for (size_t c = 1; c < 256; ++c) {
        if (known.holds(static_cast<unsigned char>(c))) characters->set(c);
      }
      return true;
    }
    return false;
  }

  int Byte(size_t i) const { return static_cast<unsigned char>(pattern_[i]); }

  const std::string_view pattern_;
  const Scope scope_;
  WildPattern *const out_;
  size_t at_ = 0;
};

WildPattern::WildPattern(std::string_view pattern, Scope scope) {
  const size_t special = pattern.find_first_of(kSpecial);
  if (scope == Scope::kName && special == 0 && pattern[0] == '*' &&
      pattern.find_first_of(kSpecial, 1) == std::string_view::npos) {
    ends_with_ = true;
    literal_ = pattern.substr(1);
    return;
  }
  // In a path the rest is a pattern of its own: git takes "a**/b" as "a" and "**/b".
  if (special == std::string_view::npos) {
    literal_ = pattern;
    return;
  }
  literal_ = pattern.substr(0, special);
  Compiler(pattern.substr(special), scope, this).Run();
}

bool WildPattern::Matches(std::string_view text) const {
  if (ends_with_) return text.ends_with(literal_);
  if (!text.starts_with(literal_)) return false;
  text.remove_prefix(literal_.size());
  return tokens_.empty() ? text.empty() : MatchesTokens(text);
}

bool WildPattern::Takes(const Token &token, char character) const {
  switch (token.kind) {
    case Token::Kind::kCharacter:
      return token.character == character;
    case Token::Kind::kAny:
      return character != '/';
    case Token::Kind::kClass:
      return classes_[token.index].test(static_cast<unsigned char>(character));
    default:
      return false;
  }
}

// All places of the pattern that the text so far can have led to, one character after the other. A place is the number
// of tokens that are done.
bool WildPattern::MatchesTokens(std::string_view text) const {
  using Kind = Token::Kind;
  const size_t end = tokens_.size();
  std::vector<bool> now(end + 1), next(end + 1);
  // A star may be nothing, so whoever comes to it is behind it as well.
  const auto enter = [&](std::vector<bool> *places, size_t place) {
    for (;; ++place) {
      (*places)[place] = true;
      if (place == end) return;
      const Kind kind = tokens_[place].kind;
      if (kind != Kind::kStar && kind != Kind::kStarStar && kind != Kind::kDirectories) return;
    }
  };
  enter(&now, 0);
  for (const char character : text) {
    next.assign(end + 1, false);
    bool alive = false;
    for (size_t place = 0; place < end; ++place) {
      if (!now[place]) continue;
      const Token &token = tokens_[place];
      if (token.kind == Kind::kStarStar || (token.kind == Kind::kStar && character != '/')) {
        enter(&next, place);
        alive = true;
      } else if (token.kind == Kind::kDirectories) {
        next[place] = true;
        if (character == '/') enter(&next, place + 1);
        alive = true;
      } else if (Takes(token, character)) {
        enter(&next, place + 1);
        alive = true;
      }
    }
    if (!alive) return false;
    now.swap(next);
  }
  return now[end];
}

}  // namespace trainyard
