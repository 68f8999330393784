#include "core/secret_rules.h"

#include <gmock/gmock.h>

namespace trainyard {
namespace {

// Put together here, so that nobody's scanner takes this file for a leak.
std::string Token(const std::string &prefix, size_t length) {
  std::string text = prefix;
  for (size_t i = 0; i < length; ++i) text += "Ab3dEf6hIj9lMn2pQr5t"[i % 20];
  return text;
}
std::string Upper(const std::string &prefix, size_t length) {
  std::string text = prefix;
  for (size_t i = 0; i < length; ++i) text += "AB3DEF6HIJ9LMN2PQR5T"[i % 20];
  return text;
}
std::string Key(const std::string &kind) {
  return "-----BEGIN " + kind + "PRIVATE KEY-----\n" + Token("", 64) + "\n-----END " + kind + "PRIVATE KEY-----\n";
}

TEST(SecretRules, NamesThatAreThereToHoldSecrets) {
  for (const char *path : {".env", "deploy/.env", ".env.local", "x/id_rsa", ".netrc", "aws/credentials", "a.p12"}) {
    EXPECT_EQ(SecretByName(path), SecretKind::kName) << path;
  }
  for (const char *path :
       {"env", ".env.example", "my.env.py", "id_rsa.pub", "credentials.py", "train.py", ".environment"}) {
    EXPECT_EQ(SecretByName(path), SecretKind::kNone) << path;
  }
}

TEST(SecretRules, ContentOfKnownShapes) {
  EXPECT_EQ(SecretByContent(Key("RSA ")), SecretKind::kPrivateKey);
  EXPECT_EQ(SecretByContent(Key("")), SecretKind::kPrivateKey);
  EXPECT_EQ(SecretByContent("x\n" + Key("OPENSSH ")), SecretKind::kPrivateKey);
  EXPECT_EQ(SecretByContent("token = '" + Token("ghp_", 36) + "'"), SecretKind::kGitHubToken);
  EXPECT_EQ(SecretByContent(Token("github_pat_", 60)), SecretKind::kGitHubToken);
  EXPECT_EQ(SecretByContent("key: " + Upper("AKIA", 16)), SecretKind::kAwsKey);
  EXPECT_EQ(SecretByContent("login(" + Token("hf_", 34) + ")"), SecretKind::kHuggingFaceToken);
  EXPECT_EQ(SecretByContent("https://a.blob.core.windows.net/c?sv=2022-11-02&sp=rl&sig=" + Token("", 43) + "%3D\""),
            SecretKind::kSignedUrl);
  EXPECT_EQ(SecretByContent("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + Token("", 86) + "==;"),
            SecretKind::kAccountKey);
  EXPECT_EQ(SecretByContent(Token("xoxb-", 40)), SecretKind::kSlackToken);
  EXPECT_EQ(SecretByContent(Token("sk-", 48)), SecretKind::kApiKey);
}

TEST(SecretRules, ProgramsThatOnlySpeakOfSecretsAreFine) {
  for (const std::string &text :
       {std::string("if line.startswith('-----BEGIN RSA PRIVATE KEY-----'):\n  pass\n"), std::string("ghp_"),
        std::string("prefixes = ('ghp_', 'AKIA', 'hf_')"), "ghp_" + std::string(36, 'x'),
        std::string("url + '&sig=' + signature"), "AccountKey=" + std::string("<your key>"), Token("task-", 48),
        Token("half_", 40), std::string("-----BEGIN CERTIFICATE-----\n") + Token("", 64) + "\n", std::string()}) {
    EXPECT_EQ(SecretByContent(text), SecretKind::kNone) << text;
  }
  EXPECT_EQ(SecretByContent(std::string(1, '\0') + Key("RSA ")), SecretKind::kNone);
  EXPECT_EQ(SecretByContent(std::string(kSecretHeadBytes, 'x') + "\n" + Key("RSA ")), SecretKind::kNone);
}

TEST(SecretRules, TheWarningSaysWhatToDo) {
  EXPECT_THAT(SecretWarning("conf/.env", SecretKind::kName, ".amlignore"),
              testing::AllOf(testing::HasSubstr("'conf/.env'"), testing::HasSubstr("/conf/.env in .amlignore"),
                             testing::HasSubstr("ty_job_set_secret")));
}

}  // namespace
}  // namespace trainyard
