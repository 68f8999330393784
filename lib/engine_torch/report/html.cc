#include "engine_torch/report/html.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "util/text.h"

namespace trainyard::report {
namespace {

constexpr std::string_view kDash = "\u2013";

// "" for a finite number.
std::string_view NameOfNonFinite(double value) {
  if (std::isnan(value)) return kDash;
  if (std::isinf(value)) return value > 0 ? "\u221e" : "-\u221e";
  return "";
}

// U+2400 to U+241F stand for the control characters in their order, U+2421 for DEL.
std::string ControlPicture(char control) {
  const auto number = static_cast<uint8_t>(control == '\x7f' ? 0x21 : control);
  return {'\xE2', '\x90', static_cast<char>(0x80 + number)};
}

// U+FFFE and U+FFFF are UTF-8, but no characters of XML.
bool IsNoncharacter(std::string_view text) {
  return text.starts_with("\xEF\xBF\xBE") || text.starts_with("\xEF\xBF\xBF");
}

}  // namespace

std::string Escape(std::string_view text) {
  std::string clean = SanitizeUtf8(text);
  std::string out;
  out.reserve(clean.size());
  for (size_t i = 0; i < clean.size(); ++i) {
    const char c = clean[i];
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if ((static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t') || c == '\x7f') {
      out += ControlPicture(c);
    } else if (c == '\xEF' && IsNoncharacter(std::string_view(clean).substr(i))) {
      out += "\uFFFD";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

std::string Shorten(std::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  const std::string clean = SanitizeUtf8(text);
  const std::string_view head = TruncateUtf8(clean, max * 2 / 3);
  size_t tail = clean.size() - max / 3;
  while (tail < clean.size() && (static_cast<uint8_t>(clean[tail]) & 0xC0) == 0x80) ++tail;
  return std::string(head) + "\u2026" + clean.substr(tail);
}

std::string Number(double value, int digits) {
  if (const std::string_view name = NameOfNonFinite(value); !name.empty()) return std::string(name);
  char buffer[64];
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific, std::max(digits, 1) - 1);
  double rounded = value;
  std::from_chars(buffer, result.ptr, rounded);
  return FormatDouble(rounded);
}

std::string Fixed(double value, int decimals) {
  if (const std::string_view name = NameOfNonFinite(value); !name.empty()) return std::string(name);
  char buffer[400];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, decimals);
  return {buffer, result.ptr};
}

std::string ScrollStart(std::string_view label) {
  return "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" + Escape(label) + "\">";
}

std::string MeterCell(double share, bool defined, std::string_view why) {
  Html html;
  if (!defined)
    return html.Raw("<td class=\"number meter\" title=\"").Text(why).Raw("\"><span>\u2013</span></td>").str();
  html.Raw("<td class=\"number meter\" style=\"--share:").Raw(Fixed(share, 3)).Raw("\"><span>");
  return html.Raw(Fixed(share, 3)).Raw("</span></td>").str();
}

std::string Percent(double share) {
  if (!std::isfinite(share)) return std::string(NameOfNonFinite(share));
  if (share == 0 || share == 1) return share == 0 ? "0%" : "100%";
  // "100.0%" of what is not all, and "0.0%" of what is not none, would be wrong.
  if (share > 0.9995 && share < 1) return ">99.9%";
  if (share > 0 && share < 0.0005) return "<0.1%";
  return Fixed(share * 100, 1) + "%";
}

std::string Count(int64_t value) {
  std::string text = std::to_string(value);
  for (auto place = static_cast<int64_t>(text.size()) - 3; place > (value < 0 ? 1 : 0); place -= 3) {
    text.insert(static_cast<size_t>(place), 1, ',');
  }
  return text;
}

std::string Duration(double seconds) {
  if (const std::string_view name = NameOfNonFinite(seconds); !name.empty()) return std::string(name);
  if (seconds < 0.001) return seconds > 0 ? "<1 ms" : "0 s";
  if (seconds < 0.95) return Fixed(seconds * 1000, 0) + " ms";
  if (seconds < 9.95) return Fixed(seconds, 1) + " s";
  const auto whole = static_cast<int64_t>(std::llround(std::min(seconds, 9e15)));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return Count(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

}  // namespace trainyard::report
