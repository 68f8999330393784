// Markup, and what people's names and numbers look like in it. What is written is HTML and well-formed XML at once:
// every element is closed, every attribute quoted. Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trainyard::report {

// For text and for attribute values: what means something in markup becomes references, what is no UTF-8 becomes
// U+FFFD, control characters other than line feed and tab become their pictures (U+2400...). So a file name shows as
// what it is.
std::string Escape(std::string_view text);

// The beginning and the end of a text of more than `max` bytes, with an ellipsis between; no character is cut.
std::string Shorten(std::string_view text, size_t max);

// Markup as it grows. Raw() is for markup written here, and Text() for everything that comes from elsewhere.
class Html {
 public:
  Html &Raw(std::string_view markup) {
    text_ += markup;
    return *this;
  }
  Html &Text(std::string_view text) {
    text_ += Escape(text);
    return *this;
  }
  Html &Raw(int64_t number) { return Raw(std::to_string(number)); }
  const std::string &str() const { return text_; }

 private:
  std::string text_;
};

// A table wider than the screen scrolls by itself; by the keyboard too. Ends with "</div>".
std::string ScrollStart(std::string_view label);
// A cell with a share as a bar and a number; `defined` false: there was nothing to take the share of, for which `why`.
std::string MeterCell(double share, bool defined, std::string_view why = "not defined: counted as 0");

// The numbers of the report. What is no finite number is "–" (NaN) or "∞".
std::string Number(double value, int digits = 4);  // significant digits: "0.1234", "1200", "1.5e-7"
std::string Fixed(double value, int decimals);     // "12.0"
std::string Percent(double share);                 // "94.1%"; of all "100%", of none "0%"
std::string Count(int64_t value);                  // "1,234,567"
std::string Duration(double seconds);              // "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"

}  // namespace trainyard::report
