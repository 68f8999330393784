// Does a file look as if it holds a secret? By its name, or by what it starts with: headers of private keys, tokens
// whose shape is known, signed URLs. Guesses, good enough for a warning. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trainyard {

// Kept in snapshot indexes (store/snapshot_index.h): numbers are never reused.
enum class SecretKind : uint8_t {
  kNone = 0,
  kName = 1,         // a file that is there to hold secrets: .env, .netrc, credentials
  kPrivateKey = 2,   // -----BEGIN ... PRIVATE KEY-----
  kGitHubToken = 3,  // ghp_, gho_, ghs_, ghu_, ghr_, github_pat_
  kAwsKey = 4,       // AKIA..., ASIA...
  kHuggingFaceToken = 5,
  kSignedUrl = 6,   // a shared access signature: sv= and sig= in one URL
  kAccountKey = 7,  // AccountKey= or SharedAccessKey= of a connection string
  kSlackToken = 8,
  kApiKey = 9,  // sk-... of model providers, AIza... of Google, glpat-...
};

// Files above this size are judged by their name alone, and no file is read any further than kSecretHeadBytes.
inline constexpr uint64_t kSecretFileBytes = 1 << 20;
inline constexpr size_t kSecretHeadBytes = 64 << 10;

SecretKind SecretByName(std::string_view path);
// `head` is the start of the file. A file with a NUL in it is no text and is not looked at.
SecretKind SecretByContent(std::string_view head);

// The warning for one file: what it looks like, the ignore line that keeps it out, and the call that passes secrets.
std::string SecretWarning(std::string_view path, SecretKind kind, std::string_view ignore_file);

}  // namespace trainyard
