#include "util/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"

namespace trainyard {
namespace {

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() : source_(directory_.path() + "/source"), target_(directory_.path() + "/target") {
    content_.resize(300000);
    for (size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * 7 + i / 256);
    WriteFileAtomic(source_, content_);
    options_.sha256 = Sha256Hex(content_);
    options_.attempts = 1;
  }
  Status StatusOf(const std::string &url) {
    try {
      DownloadFile(url, target_, options_);
    } catch (const Error &error) {
      message_ = error.what();
      return error.status();
    }
    return Status::kOk;
  }

  TempDir directory_;
  const std::string source_, target_;
  std::string content_, message_;
  DownloadOptions options_;
};

TEST_F(DownloadTest, FetchesAndChecks) {
  EXPECT_EQ(StatusOf("file://" + source_), Status::kOk);
  EXPECT_EQ(ReadFile(target_), content_);
  EXPECT_FALSE(PathExists(target_ + ".part"));
}

TEST_F(DownloadTest, ContinuesWhatIsThere) {
  WriteFileAtomic(target_ + ".part", content_.substr(0, 100000));
  EXPECT_EQ(StatusOf("file://" + source_), Status::kOk);
  EXPECT_EQ(ReadFile(target_), content_);
}

TEST_F(DownloadTest, WrongChecksumLeavesNothing) {
  options_.sha256 = Sha256Hex("something else");
  EXPECT_EQ(StatusOf("file://" + source_), Status::kCorrupt);
  EXPECT_THAT(message_, testing::HasSubstr(options_.sha256));
  EXPECT_FALSE(PathExists(target_));
  EXPECT_FALSE(PathExists(target_ + ".part"));
}

TEST_F(DownloadTest, SaysWhatIsWrong) {
  EXPECT_EQ(StatusOf("file:///does/not/exist"), Status::kNotFound);
  EXPECT_EQ(StatusOf("gopher://127.0.0.1/x"), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf("http://127.0.0.1:1/x"), Status::kNetwork);  // nobody listens on port 1
  options_.sha256 = "abc";
  EXPECT_EQ(StatusOf("file://" + source_), Status::kInvalidArgument);
  EXPECT_FALSE(PathExists(target_));
}

// A disk that is really full is not left full.
TEST_F(DownloadTest, AFullDiskGetsBackWhatHasCome) {
  const std::string small = directory_.path() + "/small";
  MakeDirs(small);
  if (mount("none", small.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "SKIP: mounting a tmpfs needs root";
  Status status = Status::kOk;
  try {
    DownloadFile("file://" + source_, small + "/target", options_);
  } catch (const Error &error) {
    status = error.status();
  }
  EXPECT_EQ(status, Status::kNoSpace);
  EXPECT_TRUE(ListDir(small).empty());
  EXPECT_EQ(umount(small.c_str()), 0);
}

// Takes connections, and gives each of them the next of the answers; without one it says nothing.
class Server {
 public:
  explicit Server(std::vector<std::string> answers) : answers_(std::move(answers)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr *>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 4), 0);
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr *>(&address), &size), 0);
    host_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  Server(const Server &) = delete;
  Server &operator=(const Server &) = delete;
  ~Server() {
    shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  const std::string &host() const { return host_; }
  int answered() const { return answered_; }

 private:
  void Serve() {
    for (const std::string &answer : answers_) {
      const UniqueFd connection(accept(socket_.get(), nullptr, nullptr));
      if (!connection.valid()) return;
      std::string request(4096, '\0');
      if (recv(connection.get(), request.data(), request.size(), 0) <= 0) continue;
      ++answered_;
      WriteAll(connection.get(), answer.data(), answer.size(), "connection");
    }
  }

  const std::vector<std::string> answers_;
  const UniqueFd socket_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string host_;
  std::atomic<int> answered_{0};
  std::thread thread_;
};

constexpr char kFound[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndata";

TEST_F(DownloadTest, NoProxyStandsBeforeThisMachine) {
  const Server server({kFound, kFound});
  setenv("http_proxy", "http://127.0.0.1:1", 1);  // nobody listens there
  options_.sha256 = "";
  EXPECT_EQ(StatusOf("http://user:pw@" + server.host() + "/x"), Status::kOk) << message_;
  setenv("no_proxy", "example.com", 1);
  EXPECT_EQ(StatusOf("http://" + server.host() + "/x"), Status::kOk) << message_;
  unsetenv("no_proxy");
  unsetenv("http_proxy");
  EXPECT_EQ(ReadFile(target_), "data");
}

TEST_F(DownloadTest, PlainHttpDoesNotLeadAwayFromThisMachine) {
  const Server server(
      {"HTTP/1.1 302 Found\r\nLocation: http://other.example.com/x\r\nContent-Length: 0\r\n"
       "Connection: close\r\n\r\n",
       kFound});
  setenv("http_proxy", ("http://" + server.host()).c_str(), 1);  // for the other machine
  options_.sha256 = "";
  EXPECT_EQ(StatusOf("http://" + server.host() + "/x"), Status::kPermission);
  EXPECT_THAT(message_, testing::HasSubstr("leads to another machine by plain http"));
  EXPECT_EQ(server.answered(), 1);
  unsetenv("http_proxy");
  EXPECT_FALSE(PathExists(target_));
}

TEST_F(DownloadTest, AServerThatStallsIsGivenUp) {
  const Server server({});
  const std::string &host = server.host();
  options_.stall_timeout_ms = 1000;
  EXPECT_EQ(StatusOf("http://user:in-the-url@" + host + "/x?sig=in-the-query"), Status::kNetwork);
  EXPECT_THAT(message_, testing::AllOf(testing::HasSubstr("http://***@" + host + "/x?sig=***"),
                                       testing::Not(testing::HasSubstr("in-the-"))));
}

}  // namespace
}  // namespace trainyard
