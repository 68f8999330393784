// One shell-style pattern, compiled: git's wildmatch. The time to match is bounded by the product of the two lengths,
// whatever the pattern. Thread rule: a value; const functions may run concurrently.
#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

class WildPattern {
 public:
  enum class Scope {
    kName,  // one name: there is no '/' to care for
    kPath,  // '*', '?' and classes stop at '/', '**' does not
  };
  WildPattern() = default;
  WildPattern(std::string_view pattern, Scope scope);
  bool Matches(std::string_view text) const;

 private:
  struct Token {
    enum class Kind {
      kCharacter,    // exactly `character`
      kAny,          // one character but '/'
      kClass,        // one of classes_[index]
      kStar,         // any characters but '/'
      kStarStar,     // any characters
      kDirectories,  // nothing, or anything that ends in '/'
      kNever,        // a pattern that is not complete matches nothing
    } kind = Kind::kCharacter;
    char character = 0;
    size_t index = 0;
  };
  using Class = std::bitset<256>;
  class Compiler;

  bool MatchesTokens(std::string_view text) const;
  bool Takes(const Token &token, char character) const;

  std::string literal_;        // what comes before the first special character
  std::vector<Token> tokens_;  // the rest
  bool ends_with_ = false;     // '*' and nothing special after it: `literal_` is the end of the name
  std::vector<Class> classes_;
};

}  // namespace trainyard
