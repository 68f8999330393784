#include "core/secret_rules.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/ignore_rules.h"

namespace trainyard {
namespace {

bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool IsTokenCharacter(char c) {
  return IsWord(c) || c == '-';
}
bool IsUpperOrDigit(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// A token is a prefix and at least `length` characters of its alphabet, at the start of a word.
struct TokenShape {
  std::string_view prefix;
  size_t length;
  bool (*of)(char);
  SecretKind kind;
};

constexpr std::array<TokenShape, 17> kTokens = {{
    {"ghp_", 30, IsWord, SecretKind::kGitHubToken},
    {"gho_", 30, IsWord, SecretKind::kGitHubToken},
    {"ghs_", 30, IsWord, SecretKind::kGitHubToken},
    {"ghu_", 30, IsWord, SecretKind::kGitHubToken},
    {"ghr_", 30, IsWord, SecretKind::kGitHubToken},
    {"github_pat_", 30, IsWord, SecretKind::kGitHubToken},
    {"AKIA", 16, IsUpperOrDigit, SecretKind::kAwsKey},
    {"ASIA", 16, IsUpperOrDigit, SecretKind::kAwsKey},
    {"hf_", 30, IsWord, SecretKind::kHuggingFaceToken},
    {"xoxb-", 20, IsTokenCharacter, SecretKind::kSlackToken},
    {"xoxp-", 20, IsTokenCharacter, SecretKind::kSlackToken},
    {"xoxa-", 20, IsTokenCharacter, SecretKind::kSlackToken},
    {"sk-proj-", 30, IsTokenCharacter, SecretKind::kApiKey},
    {"sk-ant-", 30, IsTokenCharacter, SecretKind::kApiKey},
    {"sk-", 40, IsWord, SecretKind::kApiKey},
    {"AIza", 35, IsTokenCharacter, SecretKind::kApiKey},
    {"glpat-", 20, IsTokenCharacter, SecretKind::kApiKey},
}};

SecretKind TokenIn(std::string_view text) {
  for (const TokenShape &shape : kTokens) {
    for (size_t at = text.find(shape.prefix); at != std::string_view::npos; at = text.find(shape.prefix, at + 1)) {
      if (at > 0 && IsWord(text[at - 1])) continue;
      const std::string_view rest = text.substr(at + shape.prefix.size());
      const auto end = std::find_if_not(rest.begin(), rest.end(), shape.of);
      const auto length = static_cast<size_t>(end - rest.begin());
      // A row of one letter is a placeholder.
      const bool varied = length > 0 && rest.substr(0, length).find_first_not_of(rest[0]) < length;
      if (length >= shape.length && varied) return shape.kind;
    }
  }
  return SecretKind::kNone;
}

bool HasPrivateKey(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  for (size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at + 1)) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    if (line.find("PRIVATE KEY") == std::string_view::npos) continue;
    // The header alone, as in a program that looks for it, is no key: one is followed by a line of base64.
    const std::string_view body = text.substr(std::min(text.size(), at + line.size() + 1));
    const std::string_view next = body.substr(0, body.find('\n'));
    if (next.size() >= 40 || next.find(": ") != std::string_view::npos) return true;
  }
  return false;
}

// ?sv=2022-11-02&...&sig=...: who has the URL has the data.
bool HasSignedUrl(std::string_view text) {
  for (size_t at = text.find("sig="); at != std::string_view::npos; at = text.find("sig=", at + 1)) {
    if (at == 0 || (text[at - 1] != '&' && text[at - 1] != '?')) continue;
    constexpr std::string_view kEnds = " \t\r\n\"'`<>";
    const size_t end = std::min(text.find_first_of(kEnds, at), text.size());
    const size_t before = text.find_last_of(kEnds, at);
    const size_t start = before == std::string_view::npos ? 0 : before + 1;
    const std::string_view url = text.substr(start, end - start);
    const std::string_view value = text.substr(at + 4, end - at - 4);
    const bool versioned = url.find("sv=") != std::string_view::npos || url.find("se=") != std::string_view::npos;
    if (value.substr(0, value.find('&')).size() >= 30 && versioned) return true;
  }
  return false;
}

bool HasAccountKey(std::string_view text) {
  for (const std::string_view key : {std::string_view("AccountKey="), std::string_view("SharedAccessKey=")}) {
    for (size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
      const std::string_view value = text.substr(at + key.size());
      const auto length = value.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
      if (std::min(length, value.size()) >= 40) return true;
    }
  }
  return false;
}

std::string_view Describe(SecretKind kind) {
  switch (kind) {
    case SecretKind::kName:
      return "its name is that of a file with secrets";
    case SecretKind::kPrivateKey:
      return "a private key is in it";
    case SecretKind::kGitHubToken:
      return "it holds what looks like a GitHub token";
    case SecretKind::kAwsKey:
      return "it holds what looks like an AWS access key";
    case SecretKind::kHuggingFaceToken:
      return "it holds what looks like a Hugging Face token";
    case SecretKind::kSignedUrl:
      return "it holds a signed URL (sig=)";
    case SecretKind::kAccountKey:
      return "it holds the key of a storage account or service";
    case SecretKind::kSlackToken:
      return "it holds what looks like a Slack token";
    case SecretKind::kApiKey:
      return "it holds what looks like an API key";
    case SecretKind::kNone:
      break;
  }
  return "it may hold a secret";
}

}  // namespace

SecretKind SecretByName(std::string_view path) {
  constexpr std::array<std::string_view, 13> kNames = {
      ".env",        ".envrc", ".netrc", ".pgpass",  ".git-credentials", ".pypirc",   ".npmrc",
      "credentials", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",       "kubeconfig"};
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return SecretKind::kName;
  // .env.local, .env.production; the examples that go with them are there to be shared.
  if (name.starts_with(".env.")) {
    for (const std::string_view harmless : {"example", "sample", "template", "dist"}) {
      if (name.ends_with(harmless)) return SecretKind::kNone;
    }
    return SecretKind::kName;
  }
  for (const std::string_view ending : {".p12", ".pfx", ".kdbx", ".ppk"}) {
    if (name.ends_with(ending)) return SecretKind::kName;
  }
  return SecretKind::kNone;
}

SecretKind SecretByContent(std::string_view head) {
  head = head.substr(0, kSecretHeadBytes);
  if (head.find('\0') != std::string_view::npos) return SecretKind::kNone;
  if (HasPrivateKey(head)) return SecretKind::kPrivateKey;
  if (HasSignedUrl(head)) return SecretKind::kSignedUrl;
  if (HasAccountKey(head)) return SecretKind::kAccountKey;
  return TokenIn(head);
}

std::string SecretWarning(std::string_view path, SecretKind kind, std::string_view ignore_file) {
  return "'" + std::string(path) + "' looks like a secret (" + std::string(Describe(kind)) +
         ") and is in the snapshot: keep it out with the line " + IgnoreLineFor(path, false) + " in " +
         std::string(ignore_file) + ", and pass secrets with ty_job_set_secret";
}

}  // namespace trainyard
