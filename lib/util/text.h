// Small text helpers. Bytes are bytes: nothing here depends on the locale. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// Lower-case letters, digits, '_' and '-'; anything else becomes '-'. At most `max` bytes; "x" for an empty text.
std::string Slug(std::string_view text, size_t max);

// "a,b,,c" -> {"a", "b", "", "c"}; "" -> {}.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string> &parts, std::string_view separator);
std::string_view Trim(std::string_view text);
std::string LowerAscii(std::string_view text);

// The candidate that `key` was most likely meant to be (edit distance with swaps; at most a third of the letters
// differ); empty when nothing is near.
std::string NearestOf(std::string_view key, const std::vector<std::string> &candidates);
// ", did you mean 'x'?" or "" (to end an error message with).
std::string DidYouMean(std::string_view key, const std::vector<std::string> &candidates);

// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsValidUtf8(std::string_view text);
// Each byte sequence that is no UTF-8 becomes U+FFFD; NUL becomes U+FFFD too.
std::string SanitizeUtf8(std::string_view text);
// The same for one line of a message, a terminal or a log: control characters become \n, \t, \x1b.
std::string PrintableUtf8(std::string_view text);
// Of at most `max` bytes (8 at least): the middle goes first, as the end says what to do.
std::string PrintableLine(std::string_view text, size_t max);
// The longest prefix of at most `max` bytes that does not cut a character.
std::string_view TruncateUtf8(std::string_view text, size_t max);

// Whole-text decimal numbers: no spaces, no plus sign. nullopt for anything else, or when out of range.
std::optional<int64_t> ParseInt64(std::string_view text);
std::optional<double> ParseDouble(std::string_view text);  // also NaN, Infinity, -Infinity

// The shortest text that reads back as the same number, as ECMAScript writes it; NaN, Infinity, -Infinity by name.
std::string FormatDouble(double value);

}  // namespace trainyard
