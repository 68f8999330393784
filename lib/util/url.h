// Parts of URLs, and URLs without what must not be kept. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trainyard {

// What stands in a text for a part that was taken out.
inline constexpr char kTakenOut[] = "***";

// "https://user@host:443/x" -> "host"; of "[::1]" without the brackets; empty when there is none.
std::string HostOfUrl(std::string_view url);
// 127.0.0.0/8, ::1 and localhost: what is sent there stays on this machine.
bool IsLoopbackHost(std::string_view host);

// The URL with "***" for user and password, and for each value of the query that looks like a credential: by its
// parameter's name (sig, token, key, password, ...), or because it is long and of no words.
std::string MaskCredentials(std::string_view url);
bool HasCredentials(std::string_view url);

// "%20" -> " "; nullopt when a '%' is not followed by two hexadecimal digits, or stands for NUL.
std::optional<std::string> DecodePercent(std::string_view text);

}  // namespace trainyard
