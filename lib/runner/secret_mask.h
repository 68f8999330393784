// Takes the values of secrets out of texts that are kept. Thread rule: a value.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace trainyard {

class SecretMask {
 public:
  // Values of less than four bytes are not masked: they would be everywhere.
  static constexpr size_t kShortest = 4;

  SecretMask() = default;
  explicit SecretMask(const std::map<std::string, std::string> &secrets) {
    for (const auto &[name, value] : secrets) {
      if (value.size() >= kShortest) values_.push_back(value);
    }
    // A value that contains another one goes first, so that nothing of it stays.
    std::sort(values_.begin(), values_.end(),
              [](const std::string &a, const std::string &b) { return a.size() > b.size(); });
  }

  std::string Apply(std::string text) const {
    for (const std::string &value : values_) {
      for (size_t at = text.find(value); at != std::string::npos; at = text.find(value, at + 3)) {
        text.replace(at, value.size(), "***");
      }
    }
    return text;
  }

 private:
  std::vector<std::string> values_;
};

}  // namespace trainyard
