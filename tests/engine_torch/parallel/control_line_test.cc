// The ranks' line: sums in the order of the ranks, and what the others learn of one that goes. Ranks are threads here,
// or processes where one is to be killed.
#include "engine_torch/parallel/control_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "util/error.h"

namespace trainyard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Operation = ControlLine::Operation;
using Bytes = ControlLine::Bytes;

constexpr seconds kPatience{60};

template <typename Value>
Bytes BytesOf(const std::vector<Value> &values) {
  Bytes bytes(values.size() * sizeof(Value));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
template <typename Value>
std::vector<Value> ValuesOf(const Bytes &bytes) {
  std::vector<Value> values(bytes.size() / sizeof(Value));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::unique_ptr<ControlLine> OpenLine(int rank, int ranks, LineListener *listener) {
  return rank == 0 ? ControlLine::Host(std::move(*listener), ranks, kPatience)
                   : ControlLine::Join("127.0.0.1", listener->port, rank, kPatience);
}

// Each rank a thread, with its end of the line.
template <typename Body>
void OnRanks(int ranks, const Body &body) {
  LineListener listener = ListenForRanks();
  const uint16_t port = listener.port;
  std::vector<std::thread> threads;
  for (int rank = 1; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] { body(rank, ControlLine::Join("127.0.0.1", port, rank, kPatience)); });
  }
  body(0, OpenLine(0, ranks, &listener));
  for (std::thread &thread : threads) thread.join();
}

std::string MessageOf(const std::function<void()> &body) {
  try {
    body();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kEngine) << error.what();
    return error.what();
  }
  return "";
}

TEST(ControlLine, AddsUpAndFindsTheLargest) {
  OnRanks(4, [](int rank, std::unique_ptr<ControlLine> line) {
    const double mine = rank + 0.5;
    const auto number = static_cast<int64_t>(rank) - 2;
    const uint64_t sum = line->Ask(Operation::kSumDoubles, BytesOf<double>({mine, 1}));
    const uint64_t most = line->Ask(Operation::kMaxDoubles, BytesOf<double>({mine, -mine}));
    const uint64_t count = line->Ask(Operation::kSumIntegers, BytesOf<int64_t>({number, int64_t{1} << 60}));
    const uint64_t largest = line->Ask(Operation::kMaxIntegers, BytesOf<int64_t>({number}));
    EXPECT_EQ(ValuesOf<int64_t>(line->Answer(largest)), (std::vector<int64_t>{1}));
    EXPECT_EQ(ValuesOf<double>(line->Answer(sum)), (std::vector<double>{8, 4}));
    EXPECT_EQ(ValuesOf<double>(line->Answer(most)), (std::vector<double>{3.5, -0.5}));
    EXPECT_EQ(ValuesOf<int64_t>(line->Answer(count)), (std::vector<int64_t>{-2, int64_t{1} << 62}));
    line->Close();
  });
}

TEST(ControlLine, AddsInTheOrderOfTheRanksWhoeverComesFirst) {
  // In another order the small ones would be lost, or not.
  const std::vector<double> values = {1, 1e16, -1e16, 1};
  const double expected = ((values[0] + values[1]) + values[2]) + values[3];
  OnRanks(4, [&](int rank, std::unique_ptr<ControlLine> line) {
    for (int i = 0; i < 50; ++i) {
      if (i % 4 == rank) std::this_thread::yield();
      const Bytes own = BytesOf<double>({values[static_cast<size_t>(rank)]});
      EXPECT_EQ(ValuesOf<double>(line->Answer(line->Ask(Operation::kSumDoubles, own)))[0], expected);
    }
    line->Close();
  });
}

TEST(ControlLine, LargeQuestionsAndManyAtOnceArrive) {
  const size_t many = ControlLine::kMostBytes / sizeof(double);
  OnRanks(3, [&](int rank, std::unique_ptr<ControlLine> line) {
    std::vector<uint64_t> questions;
    for (int i = 0; i < 5; ++i)
      questions.push_back(line->Ask(Operation::kSumDoubles, BytesOf(std::vector<double>(many, rank + i))));
    for (int i = 0; i < 5; ++i) {
      const auto sums = ValuesOf<double>(line->Answer(questions[static_cast<size_t>(i)]));
      ASSERT_EQ(sums.size(), many);
      EXPECT_EQ(sums.front(), 3 + 3 * i);
      EXPECT_EQ(sums.back(), 3 + 3 * i);
    }
    EXPECT_THROW(line->Ask(Operation::kSumDoubles, Bytes(ControlLine::kMostBytes + 1)), Error);
    line->Close();
  });
}

TEST(ControlLine, OneThatGivesUpIsNamedToAllAndTheyAreTold) {
  for (const int quitter : {0, 2}) {
    std::atomic<int> told = 0;
    OnRanks(3, [&](int rank, std::unique_ptr<ControlLine> line) {
      line->Watch(nullptr, [&] { ++told; });
      line->Answer(line->Ask(Operation::kSumIntegers, {}));
      if (rank == quitter) return;  // without Close
      const std::string what = MessageOf([&] { line->Answer(line->Ask(Operation::kSumIntegers, {})); });
      EXPECT_THAT(what, HasSubstr("a peer rank ended"));
      EXPECT_THAT(what, HasSubstr("rank " + std::to_string(quitter) + " has given up"));
      EXPECT_EQ(line->failure(), what);
      EXPECT_EQ(MessageOf([&] { line->Ask(Operation::kSumIntegers, {}); }), what);
      while (told < 2) std::this_thread::yield();
    });
    EXPECT_EQ(told, 2);
  }
}

TEST(ControlLine, AProcessThatIsKilledIsNamed) {
  LineListener listener = ListenForRanks();
  const pid_t child = fork();
  if (child == 0) {
    auto line = ControlLine::Join("127.0.0.1", listener.port, 1, kPatience);
    pause();
    _exit(0);
  }
  auto line = ControlLine::Host(std::move(listener), 2, kPatience);
  const uint64_t question = line->Ask(Operation::kSumIntegers, {});
  kill(child, SIGKILL);
  EXPECT_THAT(MessageOf([&] { line->Answer(question); }), HasSubstr("rank 1 has gone without a word"));
  waitpid(child, nullptr, 0);
}

TEST(ControlLine, TheFirstProcessKilledIsNamedToo) {
  LineListener listener = ListenForRanks();
  const uint16_t port = listener.port;
  const pid_t child = fork();
  if (child == 0) {
    auto line = ControlLine::Host(std::move(listener), 2, kPatience);
    pause();
    _exit(0);
  }
  listener.fd.Reset();
  auto line = ControlLine::Join("127.0.0.1", port, 1, kPatience);
  const uint64_t question = line->Ask(Operation::kSumIntegers, {});
  kill(child, SIGKILL);
  EXPECT_THAT(MessageOf([&] { line->Answer(question); }), HasSubstr("rank 0 has gone without a word"));
  waitpid(child, nullptr, 0);
}

TEST(ControlLine, WhoDoesNotComeIsNamed) {
  LineListener listener = ListenForRanks();
  const uint16_t port = listener.port;
  std::unique_ptr<ControlLine> second;
  std::thread thread([&] { second = ControlLine::Join("127.0.0.1", port, 2, kPatience); });
  EXPECT_THAT(MessageOf([&] { ControlLine::Host(std::move(listener), 4, milliseconds(1000)); }),
              HasSubstr("of the 4 ranks these did not come within 1 s: 1, 3"));
  thread.join();
}

TEST(ControlLine, AFirstRankThatIsNotThereIsNamed) {
  const uint16_t port = ListenForRanks().port;  // nobody's any more
  const std::string what = MessageOf([&] { ControlLine::Join("127.0.0.1", port, 3, milliseconds(100)); });
  EXPECT_THAT(what, HasSubstr("rank 3 cannot reach rank 0 at 127.0.0.1, port " + std::to_string(port)));
}

TEST(ControlLine, StrangersAreNotTakenForRanks) {
  LineListener listener = ListenForRanks();
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(listener.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const UniqueFd stranger(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(stranger.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address), 0);
  const char text[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
  ASSERT_GT(send(stranger.get(), text, sizeof text, MSG_NOSIGNAL), 0);
  const uint16_t port = listener.port;
  std::thread thread([&] { ControlLine::Join("127.0.0.1", port, 1, kPatience)->Close(); });
  ControlLine::Host(std::move(listener), 2, kPatience)->Close();
  thread.join();
}

TEST(ControlLine, RanksThatAskDifferentQuestionsFailTogether) {
  OnRanks(3, [](int rank, std::unique_ptr<ControlLine> line) {
    const Bytes own = BytesOf(std::vector<double>(rank == 1 ? 2 : 1, 1.0));
    EXPECT_THAT(MessageOf([&] { line->Answer(line->Ask(Operation::kSumDoubles, own)); }),
                HasSubstr("rank 1 asks what the others do not"));
  });
}

TEST(ControlLine, WhatOneFindsBrokenIsTheFailureOfAll) {
  for (const int finder : {0, 1}) {
    std::atomic<bool> broken = false;
    OnRanks(3, [&](int rank, std::unique_ptr<ControlLine> line) {
      if (rank == finder) line->Watch([&] { return std::string(broken ? "the cable is cut" : ""); }, nullptr);
      line->Answer(line->Ask(Operation::kSumIntegers, {}));
      broken = true;
      while (line->failure().empty()) std::this_thread::yield();
      EXPECT_THAT(line->failure(), HasSubstr("the cable is cut"));
    });
  }
}

TEST(ControlLine, ClosingLosesNobody) {
  for (int i = 0; i < 100; ++i) {
    OnRanks(3, [&](int, std::unique_ptr<ControlLine> line) {
      EXPECT_NO_THROW(line->Close());
      EXPECT_EQ(line->failure(), "");
    });
  }
}

TEST(ControlLine, OneAloneAnswersItself) {
  auto line = ControlLine::Host(ListenForRanks(), 1, kPatience);
  EXPECT_EQ(ValuesOf<double>(line->Answer(line->Ask(Operation::kMaxDoubles, BytesOf<double>({2.5}))))[0], 2.5);
  line->Close();
}

}  // namespace
}  // namespace trainyard
