// Parts of URLs, and URLs without what must not be kept. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// What stands in a text for a part that was taken out.
inline constexpr char kTakenOut[] = "***";

// "https://user@host:443/x" -> "host"; of "[::1]" without the brackets; empty when there is none.
std::string HostOfUrl(std::string_view url);
// 127.0.0.0/8, ::1 and localhost: what is sent there stays on this machine.
bool IsLoopbackHost(std::string_view host);

// What stands before the '@' of the authority; empty when there is none.
std::string_view UserOfUrl(std::string_view url);
// From the '/' behind the authority to the query; empty when there is none.
std::string_view PathOfUrl(std::string_view url);
// What stands where conda's servers take a token, "https://host/t/<token>/channel"; empty when there is no such part.
std::string_view CondaTokenOf(std::string_view url);

// Why a text must not be taken as a URL or a path: programs would not agree on what of it is a password
// ("https://user:a/b@host"), or it is a URL but for its beginning ("user:password@host/x"). Empty: nothing is wrong.
std::string UrlProblem(std::string_view text);

// The URL with "***" for user and password, and for each value of the query that looks like a credential: by its
// parameter's name (sig, token, key, password, ...), or because it is long and of no words; for a long token of conda
// in the path, too. Of a text with a UrlProblem, all that may belong to a password.
std::string MaskCredentials(std::string_view url);
bool HasCredentials(std::string_view url);
// The URLs in a text of any kind: with a scheme, up to a blank or a quote. And the text with each of them masked.
std::vector<std::string_view> UrlsIn(std::string_view text);
std::string MaskUrls(std::string_view text);

// "%20" -> " "; nullopt when a '%' is not followed by two hexadecimal digits, or stands for NUL.
std::optional<std::string> DecodePercent(std::string_view text);

}  // namespace trainyard
