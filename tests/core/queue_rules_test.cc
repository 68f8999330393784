#include "core/queue_rules.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace trainyard {
namespace {

Ticket Waiting(uint64_t number, int32_t slots, int32_t gpus = 0, int32_t priority = 0) {
  Ticket ticket;
  ticket.number = number;
  ticket.priority = priority;
  ticket.demand.slots = slots;
  ticket.demand.gpus = gpus;
  return ticket;
}

bool MayStart(const std::vector<Ticket> &ahead, const Demand &own, const std::vector<FreeNode> &free) {
  return PlaceBehind(ahead, own, free).has_value();
}

TEST(Ticket, NamesGoBothWaysAndSortAsPlacesDo) {
  std::vector<Ticket> line = {Waiting(7, 1),        Waiting(3, 2, 1, -5),  Waiting(11, 1, 0, 1000000),
                              Waiting(10, 1, 0, 5), Waiting(900, 1, 0, 5), Waiting(1, 1, 0, -1000000)};
  line[0].demand.nodes = 3;
  line[1].demand.share_gpus = true;
  for (const Ticket &ticket : line) EXPECT_EQ(Ticket::FromName(ticket.Name()), ticket) << ticket.Name();
  std::vector<std::string> names;
  for (const Ticket &ticket : line) names.push_back(ticket.Name());
  std::sort(names.begin(), names.end());
  std::sort(line.begin(), line.end());
  for (size_t i = 0; i < line.size(); ++i) EXPECT_EQ(names[i], line[i].Name());
  EXPECT_EQ(line[0].number, 11U);
  EXPECT_EQ(line[1].number, 10U);
  EXPECT_EQ(line.back().number, 1U);
  for (const char *name : {"", "counter", "t-1-2-1x1x0", "t-0000001-00000000000000000001-1x1", "t-0000001-x-1x1x1"}) {
    EXPECT_FALSE(Ticket::FromName(name)) << name;
  }
}

TEST(QueueRules, NarrowRunsDoNotPassAWideOne) {
  const Demand one;
  EXPECT_TRUE(MayStart({}, one, {{1, 0, 0}}));
  EXPECT_FALSE(MayStart({Waiting(1, 2)}, one, {{1, 0, 0}}));
  EXPECT_TRUE(MayStart({Waiting(1, 2)}, one, {{3, 0, 0}}));
}

TEST(QueueRules, RunsThatWaitForGpusLetOthersPassButKeepTheirSlots) {
  const std::vector<Ticket> ahead = {Waiting(1, 1, 1), Waiting(2, 1, 1)};
  const Demand cpu{1, 1, 0, false}, gpu{1, 1, 1, false};
  // No GPU is free: the first keeps one slot, the second stands behind it.
  EXPECT_FALSE(MayStart(ahead, cpu, {{1, 0, 0}}));
  EXPECT_TRUE(MayStart(ahead, cpu, {{2, 0, 0}}));
  EXPECT_FALSE(MayStart(ahead, gpu, {{4, 0, 0}}));
  // Both can start, so both keep theirs.
  EXPECT_FALSE(MayStart(ahead, cpu, {{2, 2, 0}}));
  EXPECT_TRUE(MayStart(ahead, cpu, {{3, 2, 0}}));
  // A run that needs more GPUs than are free is not passed by one that needs fewer.
  EXPECT_FALSE(MayStart({Waiting(1, 1, 2)}, gpu, {{4, 1, 0}}));
}

TEST(QueueRules, GpusAreSharedOnlyByThoseThatShare) {
  const Demand own{1, 1, 1, false}, sharing{1, 1, 1, true};
  const std::vector<FreeNode> used = {{4, 0, 1}};
  EXPECT_FALSE(MayStart({}, own, used));
  EXPECT_TRUE(MayStart({}, sharing, used));
  std::vector<FreeNode> free = {{4, 1, 0}};
  ASSERT_TRUE(Place(sharing, &free));
  EXPECT_EQ(free[0].gpus, 0);
  EXPECT_EQ(free[0].shared_gpus, 1);
}

TEST(QueueRules, SeveralNodesAreTakenAtOnceOrNotAtAll) {
  const Demand wide{2, 2, 0, false};
  EXPECT_EQ(PlaceBehind({}, wide, {{1, 0, 0}, {2, 0, 0}, {3, 0, 0}}), (std::vector<int32_t>{1, 2}));
  EXPECT_FALSE(MayStart({}, wide, {{4, 0, 0}, {1, 0, 0}}));
  std::vector<FreeNode> free = {{1, 0, 0}, {2, 0, 0}};
  EXPECT_FALSE(Place(wide, &free));
  EXPECT_EQ(free[1].slots, 2) << "a refused demand took something";
}

TEST(QueueRules, TheFewestOfTheLowestPriorityMakeRoom) {
  const std::vector<Victim> running = {
      {0, 1, {{1, 0, 0}}}, {-5, 2, {{1, 0, 0}}}, {-5, 3, {{1, 0, 0}}}, {9, 4, {{4, 0, 0}}}, {-9, 5, {{0, 1, 0}}}};
  const std::vector<FreeNode> full = {{0, 0, 0}};
  EXPECT_EQ(ChooseVictims({}, Waiting(10, 1, 0, 5), full, running), (std::vector<size_t>{2}));
  EXPECT_EQ(ChooseVictims({}, Waiting(10, 3, 0, 5), full, running), (std::vector<size_t>{2, 1, 0}));
  // Nobody is interrupted in vain, and never for a run of the same priority.
  EXPECT_TRUE(ChooseVictims({}, Waiting(10, 4, 0, 5), full, running).empty());
  EXPECT_TRUE(ChooseVictims({}, Waiting(10, 1, 0, -9), full, running).empty());
  EXPECT_EQ(ChooseVictims({}, Waiting(10, 1, 1, -4), full, running), (std::vector<size_t>{4, 2}));
}

}  // namespace
}  // namespace trainyard
