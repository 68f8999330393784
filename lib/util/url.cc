#include "util/url.h"

#include <algorithm>
#include <array>

#include "util/text.h"

namespace trainyard {
namespace {

// Nobody names a file or a page like this: a signature or a token.
constexpr size_t kOpaqueBytes = 32;

// "https://", the authority, and the rest from '/', '?' or '#' on.
struct UrlParts {
  std::string_view scheme, authority, rest;
};

UrlParts SplitUrl(std::string_view url) {
  UrlParts parts;
  const size_t mark = url.find("://");
  if (mark == std::string_view::npos) {
    parts.rest = url;
    return parts;
  }
  parts.scheme = url.substr(0, mark + 3);
  const std::string_view after = url.substr(mark + 3);
  parts.authority = after.substr(0, std::min(after.size(), after.find_first_of("/?#")));
  // "user:pass/word@host": what stands where a port would and is none belongs to a password that was not encoded.
  const size_t colon = parts.authority.starts_with('[') ? std::string_view::npos : parts.authority.rfind(':');
  if (colon != std::string_view::npos && parts.authority.find('@') == std::string_view::npos &&
      parts.authority.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) {
    const size_t user_end = after.rfind('@');
    if (user_end != std::string_view::npos)
      parts.authority = after.substr(0, std::min(after.size(), after.find_first_of("/?#", user_end)));
  }
  parts.rest = after.substr(parts.authority.size());
  return parts;
}

bool IsSecretParameter(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 12> kWords = {"sig",  "token", "key",  "secret", "pass", "pwd",
                                                              "cred", "auth",  "code", "jwt",    "sas",  "session"};
  if (value.empty()) return false;
  const std::string lower = LowerAscii(name);
  const auto names = [&](std::string_view word) { return lower.find(word) != std::string::npos; };
  if (std::any_of(kWords.begin(), kWords.end(), names)) return true;
  return value.size() >= kOpaqueBytes && value.find_first_of("/. ") == std::string_view::npos;
}

std::string CleanQuery(std::string_view query) {
  std::vector<std::string> cleaned;
  for (const std::string_view pair : Split(query, '&')) {
    const size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : pair.substr(equals + 1);
    // "?<token>" is a value without a name.
    if (equals == std::string_view::npos) {
      cleaned.emplace_back(IsSecretParameter("", name) ? kTakenOut : name);
    } else {
      cleaned.push_back(std::string(name) + "=" +
                        std::string(IsSecretParameter(name, value) ? std::string_view(kTakenOut) : value));
    }
  }
  return Join(cleaned, "&");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string HostOfUrl(std::string_view url) {
  std::string_view host = SplitUrl(url).authority;
  const size_t user_end = host.rfind('@');
  if (user_end != std::string_view::npos) host.remove_prefix(user_end + 1);
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  return std::string(host.substr(0, host.find(':')));
}

bool IsLoopbackHost(std::string_view host) {
  if (host == "::1" || LowerAscii(host) == "localhost") return true;
  const auto parts = Split(host, '.');
  const auto is_byte = [](std::string_view part) {
    const auto number = ParseInt64(part);
    return number && *number >= 0 && *number <= 255;
  };
  return parts.size() == 4 && parts[0] == "127" && std::all_of(parts.begin(), parts.end(), is_byte);
}

std::string MaskCredentials(std::string_view url) {
  const UrlParts parts = SplitUrl(url);
  if (parts.scheme.empty()) return std::string(url);
  std::string cleaned(parts.scheme);
  const size_t user_end = parts.authority.rfind('@');
  if (user_end == std::string_view::npos) {
    cleaned += parts.authority;
  } else {
    cleaned += kTakenOut + std::string(parts.authority.substr(user_end));
  }
  const size_t fragment = std::min(parts.rest.size(), parts.rest.find('#'));
  const std::string_view before = parts.rest.substr(0, fragment);
  const size_t query = before.find('?');
  cleaned += before.substr(0, query);
  if (query != std::string_view::npos) cleaned += "?" + CleanQuery(before.substr(query + 1));
  return cleaned += parts.rest.substr(fragment);
}

bool HasCredentials(std::string_view url) {
  return MaskCredentials(url) != url;
}

std::optional<std::string> DecodePercent(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

}  // namespace trainyard
