// Archives made by hand, entry by entry, the way an attacker or a careless tool would.
#pragma once

#include <cstdio>
#include <string>

namespace trainyard {

// One 512-byte header of a ustar archive, and the content behind it.
inline std::string TarEntry(const std::string &name, char type, const std::string &content = "",
                            const std::string &link = "", unsigned mode = 0644) {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string &text) { header.replace(at, text.size(), text); };
  const auto octal = [](int digits, size_t value) {
    char text[16];
    snprintf(text, sizeof text, "%0*zo", digits, value);
    return std::string(text);
  };
  put(0, name);
  put(100, octal(7, mode));
  put(108, octal(7, 0));
  put(116, octal(7, 0));
  put(124, octal(11, content.size()));
  put(136, octal(11, 0));
  put(148, "        ");
  header[156] = type;
  put(157, link);
  put(257, std::string("ustar\0", 6) + "00");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, octal(6, sum) + std::string(1, '\0'));
  std::string data = header + content;
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return data;
}

inline std::string TarOf(const std::string &entries) {
  return entries + std::string(1024, '\0');
}

}  // namespace trainyard
