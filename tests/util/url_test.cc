#include "util/url.h"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

TEST(Url, HostsAreFound) {
  const struct {
    const char *url, *host;
    bool loopback;
  } cases[] = {
      {"https://host.org/x", "host.org", false},
      {"https://user:pa:ss@host:443?q", "host", false},
      {"http://127.0.0.1:80/x", "127.0.0.1", true},
      {"http://127.1.2.3", "127.1.2.3", true},
      {"http://[::1]:80/x", "::1", true},
      {"http://LocalHost/x", "LocalHost", true},
      {"http://127.0.0.1.evil.org/x", "127.0.0.1.evil.org", false},
      {"http://127.0.0.1@evil.org/x", "evil.org", false},
      {"http:///x", "", false},
      {"no url", "", false},
  };
  for (const auto &c : cases) {
    EXPECT_EQ(HostOfUrl(c.url), c.host) << c.url;
    EXPECT_EQ(IsLoopbackHost(HostOfUrl(c.url)), c.loopback) << c.url;
  }
}

TEST(Url, CredentialsAreTakenOut) {
  const struct {
    const char *url, *cleaned;
  } cases[] = {
      {"https://host/a.zip", "https://host/a.zip"},
      {"https://host/a.zip?download=1&page=2#abc", "https://host/a.zip?download=1&page=2#abc"},
      {"https://user:pw@host/a?x=1", "https://***@host/a?x=1"},
      {"https://token@host", "https://***@host"},
      {"https://host/a?sv=2024-01-01&sp=r&sig=ab%2Bc#hash", "https://host/a?sv=2024-01-01&sp=r&sig=***#hash"},
      {"https://host/a?X-Amz-Signature=1&X-Amz-Credential=2&x=",
       "https://host/a?X-Amz-Signature=***&X-Amz-Credential=***&x="},
      {"https://host/a?0123456789abcdef0123456789abcdef", "https://host/a?***"},
      {"https://host/a?b=0123456789abcdef0123456789abcdef&c", "https://host/a?b=***&c"},
      {"/a?token=b", "/a?token=b"},
      {"https://host:8080/@scope/a@1.0", "https://host:8080/@scope/a@1.0"},
      // Passwords that should have been encoded.
      {"http://user:pass/word@host/x", "http://***@host/x"},
      {"https://user:pass#word@host/x", "https://***@host/x"},
  };
  for (const auto &c : cases) {
    EXPECT_EQ(MaskCredentials(c.url), c.cleaned);
    EXPECT_EQ(HasCredentials(c.url), std::string(c.url) != c.cleaned) << c.url;
    EXPECT_FALSE(HasCredentials(c.cleaned)) << c.cleaned;
  }
}

TEST(Url, PercentIsDecoded) {
  EXPECT_EQ(DecodePercent("/a%20b%C3%a9"), "/a b\xc3\xa9");
  for (const char *bad : {"%", "%2", "%zz", "a%00b"}) EXPECT_EQ(DecodePercent(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace trainyard
