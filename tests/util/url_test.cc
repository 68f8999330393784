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
      {"http://user:123/word@host/x", "http://***@host/x"},
      {"http://half/token@host/x", "http://***@host/x"},
      {"https://cdn.example.com/lib@18/x.js", "https://cdn.example.com/lib@18/x.js"},
      {"http://localhost:80/a@b/x", "http://localhost:80/a@b/x"},
      {"azureml://datastores/s/paths/a@b/c", "azureml://datastores/s/paths/a@b/c"},
      // What was meant to be a URL.
      {"http:/user:pw@host/x", "http:/***@host/x"},
      {"user:pw@host/x", "***@host/x"},
      {"azureml:images@latest", "azureml:images@latest"},
      {"dir/user:pw@host", "dir/user:pw@host"},
      // Queries that are written in other ways.
      {"https://host/a?a=1;sig=S;b=2", "https://host/a?a=1;sig=***;***"},
      {"https://host/a?sig=S;T?U&b=2", "https://host/a?sig=***;***?***&b=2"},
      {"https://host/a?a=b?sig=S", "https://host/a?a=b?sig=***"},
      {"https://host/a?%73ig=S&bearer=T", "https://host/a?%73ig=***&bearer=***"},
      {"https://host/a?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0",
       "https://host/a?t=***"},
      {"https://host/a?t=ab/cdeyJzdWIiOiIxMjM0NTY3ODkwIn0dozjgNryP4J3jVmNHl0w5N", "https://host/a?t=***"},
      {"https://host/a?path=datasets/2024/a-long-name.of.some-kind.csv",
       "https://host/a?path=datasets/2024/a-long-name.of.some-kind.csv"},
      {"https://host/a?token=${TOKEN}", "https://host/a?token=${TOKEN}"},
      // Conda's tokens are in the path.
      {"https://host/conda/t/tk-1a2b3c4d-e5f6-4a7b-8c9d-0e1f2a3b4c5d/c/x.conda", "https://host/conda/t/***/c/x.conda"},
      {"https://host/t/data/x.zip", "https://host/t/data/x.zip"},
  };
  for (const auto &c : cases) {
    EXPECT_EQ(MaskCredentials(c.url), c.cleaned);
    EXPECT_EQ(HasCredentials(c.url), std::string(c.url) != c.cleaned) << c.url;
    EXPECT_FALSE(HasCredentials(c.cleaned)) << c.cleaned;
  }
}

TEST(Url, WhatIsUnclearIsNoUrl) {
  for (const char *text : {"http://user:pass/word@host/x", "http://user:123/word@host/x", "http://half/token@host/x",
                           "http:/user:pw@host/x", "user:pw@host/x", "http:/host/x"})
    EXPECT_NE(UrlProblem(text), "") << text;
  for (const char *text :
       {"https://user:p%2Fw@host/x", "https://cdn.org/a@b/c.d@1", "https://host:80/@scope/a@1.0", "/a:b@c",
        "./user:pw@host", "azureml:images@latest", "images:3", "C:x", "file:///a@b", "a/b@c:d", "git@host:path", ""}) {
    EXPECT_EQ(UrlProblem(text), "") << text;
  }
  // As programs that send the request read it, not as it may have been meant.
  EXPECT_EQ(HostOfUrl("http://evil/x@127.0.0.1/y"), "evil");
  EXPECT_EQ(HostOfUrl("http://evil:x/y@127.0.0.1/z"), "evil");
}

TEST(Url, Parts) {
  EXPECT_EQ(UserOfUrl("https://user:pw@host/x"), "user:pw");
  EXPECT_EQ(UserOfUrl("https://host/@x"), "");
  for (const char *url : {"http://user:pw@host", "http://host?a=/b", "http://host#/b"}) EXPECT_EQ(PathOfUrl(url), "");
  EXPECT_EQ(PathOfUrl("http://user:pw@host/"), "/");
  EXPECT_EQ(PathOfUrl("http://user:pw@host:80/a/b.c?d=/e#f/g"), "/a/b.c");
  EXPECT_EQ(PathOfUrl("file:///a/b"), "/a/b");
  EXPECT_EQ(CondaTokenOf("https://user@host/t/token/channel?a=/t/b/"), "token");
  for (const char *url : {"https://t/channel", "https://host/at/x", "https://host/t"}) EXPECT_EQ(CondaTokenOf(url), "");
}

TEST(Url, TextsAreMasked) {
  EXPECT_EQ(MaskUrls("no URL: a@b"), "no URL: a@b");
  EXPECT_EQ(MaskUrls("x @ git+https://u:p@h/x.git@v1#egg=x and 'http://t@h?sig=S', https://h/docs#part"),
            "x @ git+https://***@h/x.git@v1#egg=x and 'http://***@h?sig=***', https://h/docs#part");
}

TEST(Url, PercentIsDecoded) {
  EXPECT_EQ(DecodePercent("/a%20b%C3%a9"), "/a b\xc3\xa9");
  for (const char *bad : {"%", "%2", "%zz", "a%00b"}) EXPECT_EQ(DecodePercent(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace trainyard
