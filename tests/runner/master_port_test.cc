#include "runner/master_port.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "util/error.h"

namespace trainyard {
namespace {

class MasterPortTest : public testing::Test {
 protected:
  MasterPortTest() { MakeDirs(directory_.path() + "/ports"); }
  MasterPort Take(int32_t wanted = 0) const { return {directory_.path(), wanted}; }

  TempDir directory_;
};

// A stranger that listens on some port.
class Listener {
 public:
  Listener() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address), 0);
    EXPECT_EQ(listen(socket_.get(), 1), 0);
    getsockname(socket_.get(), reinterpret_cast<sockaddr *>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  int32_t port() const { return port_; }

 private:
  UniqueFd socket_;
  int32_t port_ = 0;
};

TEST_F(MasterPortTest, IsNotGivenTwice) {
  MasterPort first = Take(), second = Take();
  EXPECT_NE(first.number(), second.number());
  EXPECT_GE(first.number(), MasterPort::kFirst);
  EXPECT_TRUE(first.chosen_here());
  const int32_t before = first.number();
  first.Move();
  EXPECT_NE(first.number(), before);
  EXPECT_NE(first.number(), second.number());
}

TEST_F(MasterPortTest, AWantedOneThatIsTakenIsRefused) {
  const Listener stranger;
  try {
    Take(stranger.port());
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.details().at("code"), "port_in_use");
    EXPECT_THAT(error.what(), testing::HasSubstr("MASTER_PORT " + std::to_string(stranger.port()) + " is in use"));
  }
  const int32_t free_port = Take().number();
  const MasterPort mine = Take(free_port);
  EXPECT_EQ(mine.number(), free_port);
  EXPECT_THROW(Take(free_port), Error);
}

}  // namespace
}  // namespace trainyard
