#include "launch/agent_channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace trainyard {
namespace {

class AgentChannelTest : public testing::Test {
 protected:
  AgentChannelTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    here_.emplace(UniqueFd(ends[0]), 1U << 20);
    there_.Reset(ends[1]);
  }
  void Write(std::string_view bytes) const {
    ASSERT_EQ(write(there_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  std::optional<AgentChannel> here_;
  UniqueFd there_;
};

TEST_F(AgentChannelTest, MessagesArriveWholeAndInOrder) {
  AgentChannel there(std::move(there_));
  std::thread sender([&] {
    for (int i = 0; i < 100; ++i) {
      Json message = Json::Object();
      there.Send(message.Set("number", i).Set("text", std::string(static_cast<size_t>(i) * 1000, 'x')));
    }
  });
  for (int i = 0; i < 100; ++i) {
    const auto message = here_->Receive(10000);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->GetInt64("number"), i);
    EXPECT_EQ(message->GetString("text").size(), static_cast<size_t>(i) * 1000);
  }
  sender.join();
  EXPECT_FALSE(here_->Receive());
  EXPECT_FALSE(here_->closed());
}

TEST_F(AgentChannelTest, PartsWaitForTheRest) {
  Write(std::string_view("\x02\0\0\0{", 5));
  EXPECT_FALSE(here_->Receive());
  Write("}");
  EXPECT_TRUE(here_->Receive());
}

TEST_F(AgentChannelTest, WhatWasSentBeforeTheEndIsRead) {
  Write(std::string_view("\x02\0\0\0{}\x02\0\0\0{}\x02\0", 14));
  there_.Reset();
  EXPECT_TRUE(here_->Receive());
  EXPECT_TRUE(here_->Receive());
  EXPECT_FALSE(here_->Receive());
  EXPECT_TRUE(here_->closed());
  Json message = Json::Object();
  here_->Send(message);  // to nobody: no signal, no error
}

TEST_F(AgentChannelTest, StrangersAreTakenForGone) {
  here_->set_largest(4096);
  Write("GET / HTTP/1.1\r\n");
  EXPECT_FALSE(here_->Receive());
  EXPECT_TRUE(here_->closed());
  EXPECT_FALSE(here_->Receive());
}

TEST_F(AgentChannelTest, SoIsWhatIsNoJson) {
  Write(std::string_view("\x02\0\0\0{{", 6));
  EXPECT_FALSE(here_->Receive());
  EXPECT_TRUE(here_->closed());
}

}  // namespace
}  // namespace trainyard
