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

bool IsScheme(std::string_view text) {
  const std::string lower = LowerAscii(text);
  return lower == "https" || lower == "http" || lower == "ftp";
}

// As RFC 3986 and the programs that follow it have it. What was meant to be a URL has an authority as well:
// "http:/host", "user:password@host/x".
UrlParts SplitUrl(std::string_view url) {
  UrlParts parts;
  size_t start = url.find("://");
  const size_t colon = url.find(':');
  if (start != std::string_view::npos) {
    start += 3;
  } else if (colon != std::string_view::npos && IsScheme(url.substr(0, colon)) && url.substr(colon).starts_with(":/")) {
    start = colon + 2;
  } else {
    const std::string_view first = url.substr(0, url.find('/'));
    const size_t user_end = first.find('@');
    const bool user = colon != 0 && colon < user_end && user_end != std::string_view::npos;
    if (!user || url.starts_with('.') || url.starts_with("azureml:")) {
      parts.rest = url;
      return parts;
    }
    start = 0;
  }
  parts.scheme = url.substr(0, start);
  const std::string_view after = url.substr(start);
  parts.authority = after.substr(0, std::min(after.size(), after.find_first_of("/?#")));
  parts.rest = after.substr(parts.authority.size());
  return parts;
}

// Where the '@' is behind a user and password that hold what ends an authority; npos when there is none. "http://a/b@c"
// says nothing else of itself than that: a host of one word is rare where an '@' is in the path.
size_t LateUserEnd(const UrlParts &parts, std::string_view after) {
  if (parts.authority.empty() || parts.authority.starts_with('[') ||
      parts.authority.find('@') != std::string_view::npos)
    return std::string_view::npos;
  const size_t colon = parts.authority.rfind(':');
  const bool port = colon == std::string_view::npos ||
                    parts.authority.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
  if (!port) return after.rfind('@');
  const std::string_view host = parts.authority.substr(0, colon);
  const std::string_view path = parts.rest.substr(0, parts.rest.find_first_of("?#"));
  const size_t first = path.find('@');
  if (first == std::string_view::npos || path[first - 1] == '/' || host.find('.') != std::string_view::npos ||
      LowerAscii(host) == "localhost" || !IsScheme(parts.scheme.substr(0, parts.scheme.find(':')))) {
    return std::string_view::npos;
  }
  return parts.authority.size() + path.rfind('@');
}

// With all in the authority that may belong to a password.
UrlParts SplitForMask(std::string_view url) {
  UrlParts parts = SplitUrl(url);
  const std::string_view after = url.substr(parts.scheme.size());
  const size_t user_end = LateUserEnd(parts, after);
  if (user_end == std::string_view::npos) return parts;
  parts.authority = after.substr(0, std::min(after.size(), after.find_first_of("/?#", user_end)));
  parts.rest = after.substr(parts.authority.size());
  return parts;
}

// A web token ("header.payload.signature", the header a JSON object in base64), or one long text that is no word and no
// path; of a path with such a part, too.
bool LooksOpaque(std::string_view value) {
  constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz", kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (value.size() < kOpaqueBytes) return false;
  if (value.find_first_of("/. ") == std::string_view::npos) return true;
  const auto dots = std::count(value.begin(), value.end(), '.');
  if (value.starts_with("ey") && (dots == 2 || dots == 4) && value.find_first_of("/ ") == std::string_view::npos)
    return true;
  const auto parts = Split(value, '/');
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return part.size() >= kOpaqueBytes && part.find_first_of(". ") == std::string_view::npos &&
           part.find_first_of(kLower) != std::string_view::npos &&
           part.find_first_of(kUpper) != std::string_view::npos &&
           part.find_first_of("0123456789") != std::string_view::npos;
  });
}

bool IsSecretParameter(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 13> kWords = {
      "sig", "token", "key", "secret", "pass", "pwd", "cred", "auth", "code", "jwt", "sas", "session", "bearer"};
  // "${TOKEN}" names a variable.
  if (value.empty() || (value.starts_with("${") && value.ends_with('}'))) return false;
  const std::string lower = LowerAscii(DecodePercent(name).value_or(std::string(name)));
  const auto names = [&](std::string_view word) { return lower.find(word) != std::string::npos; };
  return std::any_of(kWords.begin(), kWords.end(), names) || LooksOpaque(value);
}

std::string CleanQuery(std::string_view query) {
  std::string cleaned;
  bool secret = false;
  for (char separator = '&';;) {
    // Some servers take ';' for '&', and a second '?' is mostly a mistake for it; or either is part of the value
    // before.
    const size_t end = std::min(query.size(), query.find_first_of("&;?"));
    const std::string_view pair = query.substr(0, end);
    const size_t equals = pair.find('=');
    // "?<token>" is a value without a name.
    const std::string_view name = equals == std::string_view::npos ? "" : pair.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? pair : pair.substr(equals + 1);
    const bool goes_on = secret && separator != '&';
    secret = goes_on || IsSecretParameter(name, value);
    if (equals != std::string_view::npos && !goes_on) cleaned += std::string(name) + "=";
    cleaned += secret ? std::string_view(kTakenOut) : value;
    if (end == query.size()) return cleaned;
    separator = query[end];
    cleaned += separator;
    query.remove_prefix(end + 1);
  }
}

// Of a path, with '/' in front of it or a host.
std::string_view CondaTokenIn(std::string_view path) {
  constexpr std::string_view kMark = "/t/";
  path = path.substr(0, path.find_first_of("?#"));
  const size_t mark = path.find(kMark);
  if (mark == std::string_view::npos) return {};
  const std::string_view rest = path.substr(mark + kMark.size());
  return rest.substr(0, rest.find('/'));
}

// "/t/" may also be the name of a directory: what follows must look like a token.
std::string CleanPath(std::string_view path) {
  const std::string_view token = CondaTokenIn(path);
  std::string cleaned(path);
  if (LooksOpaque(token)) cleaned.replace(static_cast<size_t>(token.data() - path.data()), token.size(), kTakenOut);
  return cleaned;
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

std::string_view UserOfUrl(std::string_view url) {
  const std::string_view authority = SplitForMask(url).authority;
  const size_t user_end = authority.rfind('@');
  return user_end == std::string_view::npos ? std::string_view() : authority.substr(0, user_end);
}

std::string_view PathOfUrl(std::string_view url) {
  const std::string_view rest = SplitForMask(url).rest;
  return rest.substr(0, rest.find_first_of("?#"));
}

std::string_view CondaTokenOf(std::string_view url) {
  return CondaTokenIn(SplitForMask(url).rest);
}

std::string UrlProblem(std::string_view text) {
  const UrlParts parts = SplitUrl(text);
  if (parts.authority.size() != SplitForMask(text).authority.size()) {
    return "it is not clear where its user and password end: write '/', '?' and '#' in them as %2F, %3F and %23, and "
           "an '@' of the path as %40";
  }
  if (parts.authority.empty()) return "";
  if (parts.scheme.empty())
    return "it looks like a URL without its scheme: put https:// in front, or ./ for a file of that name";
  return parts.scheme.ends_with("://") ? "" : "a URL has '://' behind its scheme";
}

std::string MaskCredentials(std::string_view url) {
  const UrlParts parts = SplitForMask(url);
  if (parts.scheme.empty() && parts.authority.empty()) return std::string(url);
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
  cleaned += CleanPath(before.substr(0, query));
  if (query != std::string_view::npos) cleaned += "?" + CleanQuery(before.substr(query + 1));
  return cleaned += parts.rest.substr(fragment);
}

std::vector<std::string_view> UrlsIn(std::string_view text) {
  constexpr std::string_view kAround = " \t\r\n\"'`<>";
  std::vector<std::string_view> urls;
  for (size_t mark = text.find("://"); mark != std::string_view::npos;) {
    size_t start = mark;
    const auto in_scheme = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '.' ||
             c == '-';
    };
    while (start > 0 && in_scheme(text[start - 1])) --start;
    const size_t end = std::min(text.size(), text.find_first_of(kAround, mark));
    urls.push_back(text.substr(start, end - start));
    mark = text.find("://", end);
  }
  return urls;
}

std::string MaskUrls(std::string_view text) {
  std::string cleaned;
  for (const std::string_view url : UrlsIn(text)) {
    const auto start = static_cast<size_t>(url.data() - text.data());
    cleaned += std::string(text.substr(0, start)) + MaskCredentials(url);
    text.remove_prefix(start + url.size());
  }
  return cleaned += text;
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
