// Ranks by a process group, as threads of this process: what goes which way, and how they end when one does.
#include "engine_torch/parallel/group_collective.h"

#include <ATen/Functions.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "engine_torch/parallel/ranks.h"
#include "engine_torch/parallel/store_group.h"
#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;
using Reduction = Collective::Reduction;

class GroupCollectiveTest : public testing::Test {
 protected:
  template <typename Body>
  void OnRanks(int ranks, const Body &body) {
    LineListener listener = ListenForRanks();
    const uint16_t port = listener.port;
    const auto store = c10::make_intrusive<c10d::HashStore>();
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        Meeting meeting;
        meeting.store = store;
        meeting.line = rank == 0 ? ControlLine::Host(std::move(listener), ranks, std::chrono::seconds(60))
                                 : ControlLine::Join("127.0.0.1", port, rank, std::chrono::seconds(60));
        StoreGroup *group = nullptr;
        auto collective = OpenGroupCollective(rank, ranks, c10::kCPU, std::move(meeting),
                                              MakeStoreGroup(rank, ranks, &group), /*most_on_line=*/16);
        body(std::move(collective), group);
      });
    }
    for (std::thread &thread : threads) thread.join();
  }
  static std::string MessageOf(const std::function<void()> &body) {
    try {
      body();
    } catch (const Error &error) {
      EXPECT_EQ(error.details().at("code"), "ranks");
      return error.what();
    }
    return "";
  }
};

TEST_F(GroupCollectiveTest, AddsUpByEitherWay) {
  OnRanks(3, [](std::unique_ptr<Collective> collective, StoreGroup *) {
    EXPECT_EQ(collective->name(), "a store");
    for (const int64_t count : {1, 2, 1000}) {  // the first over the line
      for (const auto type : {at::kFloat, at::kDouble, at::kLong}) {
        at::Tensor values = at::full({count}, 1 << collective->rank(), at::TensorOptions(type));
        collective->AllReduce(values, Reduction::kSum)->Wait();
        EXPECT_TRUE(values.eq(7).all().item<bool>()) << count << " " << type;
        values.fill_(-collective->rank());
        collective->AllReduce(values, Reduction::kMax)->Wait();
        EXPECT_TRUE(values.eq(0).all().item<bool>()) << count << " " << type;
      }
    }
    collective->Close();
  });
}

TEST_F(GroupCollectiveTest, TensorsInAnyLayoutWithoutHolesAreShared) {
  OnRanks(2, [](std::unique_ptr<Collective> collective, StoreGroup *) {
    const double own = collective->rank() + 1;
    at::Tensor images = at::full({2, 3, 4, 5}, own).contiguous(at::MemoryFormat::ChannelsLast);
    collective->Broadcast(images, 1)->Wait();
    EXPECT_TRUE(images.eq(2).all().item<bool>());
    at::Tensor turned = at::full({3, 4, 5, 6, 7}, own).transpose(0, 3);
    collective->AllReduce(turned, Reduction::kSum)->Wait();
    EXPECT_TRUE(turned.eq(3).all().item<bool>());
    EXPECT_THROW(collective->AllReduce(at::zeros({4, 4}).narrow(1, 0, 2), Reduction::kSum), Error);
    EXPECT_THROW(collective->AllReduce(at::zeros({2}, at::TensorOptions(at::kHalf)), Reduction::kSum), Error);
    collective->Close();
  });
}

// One leaves while the others wait for it in the group, which knows nothing of that.
TEST_F(GroupCollectiveTest, OneThatGoesEndsTheOthersWaiting) {
  std::atomic<int> aborted = 0;
  OnRanks(3, [&](std::unique_ptr<Collective> collective, StoreGroup *group) {
    collective->Barrier();                // nobody is still at the beginning
    if (collective->rank() == 1) return;  // as an exception would
    const at::Tensor values = at::ones({100});
    const std::string what = MessageOf([&] { collective->AllReduce(values, Reduction::kSum)->Wait(); });
    EXPECT_THAT(what, HasSubstr("a peer rank ended"));
    EXPECT_THAT(what, HasSubstr("rank 1 has given up"));
    EXPECT_EQ(collective->failure(), what);
    EXPECT_EQ(MessageOf([&] { collective->Barrier(); }), what);
    EXPECT_EQ(MessageOf([&] { collective->AllReduce(values, Reduction::kSum); }), what);
    EXPECT_EQ(MessageOf([&] { collective->Broadcast(values, 0); }), what);
    // By the line's thread, after it has told those who wait.
    for (int i = 0; i < 3000 && !group->aborted(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (group->aborted()) ++aborted;
  });
  EXPECT_EQ(aborted, 2);
}

TEST_F(GroupCollectiveTest, AGroupThatBreaksOnOneEndsAll) {
  OnRanks(2, [&](std::unique_ptr<Collective> collective, StoreGroup *group) {
    collective->Barrier();
    if (collective->rank() == 1) group->Break();
    const std::string what = MessageOf([&] {
      for (;;) collective->Barrier();
    });
    EXPECT_THAT(what, HasSubstr("the group is broken"));
  });
}

TEST_F(GroupCollectiveTest, AnAbortFromAnotherThreadEndsWhoWaits) {
  OnRanks(2, [&](std::unique_ptr<Collective> collective, StoreGroup *) {
    std::thread other;
    if (collective->rank() == 0) other = std::thread([&] { collective->Abort(); });
    EXPECT_NE(MessageOf([&] {
                for (;;) collective->AllReduce(at::ones({100}), Reduction::kSum)->Wait();
              }),
              "");
    if (other.joinable()) other.join();
  });
}

TEST_F(GroupCollectiveTest, AnswersTheQuestionsOfRanks) {
  OnRanks(3, [&](std::unique_ptr<Collective> collective, StoreGroup *) {
    Ranks ranks(std::move(collective));
    EXPECT_TRUE(ranks.Same(-5));
    EXPECT_FALSE(ranks.Same(ranks.rank()));
    EXPECT_EQ(ranks.Max(-ranks.rank()), 0);
    EXPECT_TRUE(ranks.Any(ranks.rank() == 2));
    EXPECT_EQ(ranks.on_this_machine(), 3);
    std::vector<double> values(5000, ranks.rank());
    ranks.Sum(&values);
    EXPECT_EQ(values, std::vector<double>(5000, 3));
    EXPECT_EQ(ranks.failure(), "");
    ranks.Close();
  });
}

TEST_F(GroupCollectiveTest, OneAloneGoesTheWholeWay) {
  OnRanks(1, [&](std::unique_ptr<Collective> collective, StoreGroup *) {
    Ranks ranks(std::move(collective));
    EXPECT_TRUE(ranks.several());
    EXPECT_TRUE(ranks.Same(4));
    const at::Tensor values = at::arange(100, at::kDouble);
    ranks.SumTensor(values);
    EXPECT_TRUE(at::equal(values, at::arange(100, at::kDouble)));
    ranks.Share({values});
    ranks.Close();
  });
}

}  // namespace
}  // namespace trainyard
