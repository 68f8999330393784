#include "store/metric_store.h"

#include <cmath>
#include <limits>

#include "store_fixture.h"

namespace trainyard {
namespace {

class MetricStoreTest : public StoreTest {
 protected:
  MetricStore &metrics() { return store().metrics(); }
  std::unique_ptr<JournalWriter> Writer(int rank = 0, int attempt = 0, uint64_t bytes = uint64_t{32} << 20) {
    return std::make_unique<JournalWriter>(JournalDir("r1"), rank, attempt, JournalOptions{bytes});
  }
  std::vector<double> Values(MetricQuery query) {
    std::vector<double> values;
    for (const MetricPoint &point : metrics().Query("r1", query).points) values.push_back(point.value);
    return values;
  }
};

TEST(MetricChunk, PacksAnyNumbers) {
  MetricChunk chunk;
  const double nan = std::nan("");
  chunk.points = {{INT64_MIN, INT64_MAX, 1},
                  {INT64_MAX, INT64_MIN, -0.0},
                  {0, 0, nan},
                  {-1, 5, std::numeric_limits<double>::infinity()}};
  chunk.ordinals = {0, 1, 500, int64_t{1} << 40};
  const std::string data = chunk.Pack();
  MetricChunk read;
  read.Unpack(data, 4);
  EXPECT_EQ(read.ordinals, chunk.ordinals);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(read.points[i].step, chunk.points[i].step);
    EXPECT_EQ(read.points[i].time_ms, chunk.points[i].time_ms);
    EXPECT_EQ(std::signbit(read.points[i].value), std::signbit(chunk.points[i].value));
  }
  EXPECT_TRUE(std::isnan(read.points[2].value));
  for (size_t size = 0; size < data.size(); ++size) {
    EXPECT_EQ(StatusOf([&] { read.Unpack(std::string_view(data).substr(0, size), 4); }), Status::kCorrupt) << size;
  }
  EXPECT_EQ(StatusOf([&] { read.Unpack(data, size_t{1} << 60); }), Status::kCorrupt);
}

// The same answer from the journal, from chunks, and from both.
TEST_F(MetricStoreTest, QueryWhileItRunsAndAfter) {
  MakeRun("r1");
  auto writer = Writer(0, 0, 1 << 16);
  auto other = Writer(1);
  for (int i = 0; i < 10000; ++i) {
    writer->Append("loss", i, i);
    if (i % 10 == 0) writer->Append("acc", i);
  }
  for (int i = 0; i < 5; ++i) other->Append("loss", -i);
  const auto check = [&](const char *when) {
    MetricSeries all = metrics().Query("r1", {.name = "loss"});
    ASSERT_EQ(all.total, 10005) << when;
    ASSERT_EQ(all.points.size(), 10005u);
    ASSERT_EQ(all.ranks.size(), 10005u);
    for (int i = 0; i < 10000; ++i) ASSERT_EQ(all.points[static_cast<size_t>(i)].value, i) << when;
    EXPECT_EQ(all.ranks[10001], 1);
    EXPECT_EQ(all.points[10001].value, -1);
    EXPECT_EQ(Values({.name = "loss", .rank = 1}), (std::vector<double>{-0.0, -1, -2, -3, -4}));
    EXPECT_EQ(Values({.name = "loss", .rank = 0, .first_step = 5000, .last_step = 5003}),
              (std::vector<double>{5000, 5001, 5002, 5003}));
    EXPECT_EQ(Values({.name = "loss", .rank = 0, .offset = 4095, .limit = 3}), (std::vector<double>{4095, 4096, 4097}));
    EXPECT_EQ(metrics().Query("r1", {.name = "loss", .rank = 0, .offset = 9999, .limit = 10}).points.size(), 1u);
    EXPECT_EQ(metrics().Query("r1", {.name = "none"}).total, 0);
    const auto names = metrics().ListNames("r1");
    ASSERT_EQ(names.size(), 2u);
    EXPECT_EQ(names[0].name, "acc");
    EXPECT_EQ(names[0].count, 1000);
    EXPECT_EQ(names[0].last.value, 9990);
    EXPECT_EQ(names[1].count, 10005);
    EXPECT_EQ(names[1].minimum, -4);
    EXPECT_EQ(names[1].maximum, 9999);
  };
  check("live");
  const FoldResult first = metrics().Fold("r1", false);
  EXPECT_GT(first.segments, 3);
  check("half folded");
  EXPECT_EQ(metrics().Fold("r1", false).segments, 0);
  writer.reset();
  other.reset();
  const FoldResult second = metrics().Fold("r1", true);
  EXPECT_EQ(first.points + second.points, 11005);
  EXPECT_TRUE(ListSegments(JournalDir("r1")).empty());
  check("folded");
  Reopen();
  check("reopened");
}

TEST_F(MetricStoreTest, AFoldedNumberIsNotGivenAgain) {
  MakeRun("r1");
  for (int i = 0; i < 3; ++i) {
    Writer()->Append("x", i);  // a short-lived process each
    metrics().Fold("r1", false);
  }
  metrics().Fold("r1", true);
  EXPECT_EQ(Values({.name = "x"}), (std::vector<double>{0, 1, 2}));
}

// A crash after the commit and before the file was removed.
TEST_F(MetricStoreTest, FoldingTwiceCountsOnce) {
  MakeRun("r1");
  Writer()->Append("x", 1);
  const std::string path = JournalDir("r1") + "/" + SegmentFileName({0, 0, 0});
  const std::string data = ReadFile(path);
  EXPECT_EQ(metrics().Fold("r1", true).points, 1);
  WriteFileAtomic(path, data);
  EXPECT_EQ(Values({.name = "x"}), (std::vector<double>{1}));
  EXPECT_EQ(metrics().ListNames("r1")[0].count, 1);
  EXPECT_EQ(metrics().Fold("r1", true).points, 0);
  EXPECT_FALSE(PathExists(path));
  EXPECT_EQ(Values({.name = "x"}), (std::vector<double>{1}));
}

TEST_F(MetricStoreTest, DamagedSegmentsDoNotHoldUpTheOthers) {
  MakeRun("r1");
  Writer()->Append("x", 1);
  WriteFileAtomic(JournalDir("r1") + "/rank5.0.0.tyj", "not a journal at all");
  std::string torn = ReadFile(JournalDir("r1") + "/" + SegmentFileName({0, 0, 0}));
  WriteFileAtomic(JournalDir("r1") + "/rank6.0.0.tyj", std::string_view(torn).substr(0, torn.size() - 4));
  const FoldResult result = metrics().Fold("r1", true);
  EXPECT_EQ(result.points, 1);
  EXPECT_GT(result.skipped_bytes, 0);
  EXPECT_TRUE(PathExists(JournalDir("r1") + "/rank5.0.0.tyj.damaged"));
  EXPECT_EQ(Values({.name = "x"}), (std::vector<double>{1}));
}

TEST_F(MetricStoreTest, NaNAndInfinityAreValues) {
  MakeRun("r1");
  {
    auto writer = Writer();
    writer->Append("x", std::nan(""));
    writer->Append("x", std::numeric_limits<double>::infinity());
    writer->Append("y", std::nan(""));
  }
  for (const bool folded : {false, true}) {
    if (folded) metrics().Fold("r1", true);
    const auto values = Values({.name = "x"});
    ASSERT_EQ(values.size(), 2u);
    EXPECT_TRUE(std::isnan(values[0]));
    EXPECT_TRUE(std::isinf(values[1]));
    const auto names = metrics().ListNames("r1");
    EXPECT_EQ(names[0].minimum, std::numeric_limits<double>::infinity());
    EXPECT_TRUE(std::isnan(names[1].minimum));
    EXPECT_TRUE(std::isnan(names[1].last.value));
  }
}

TEST_F(MetricStoreTest, DownsamplingKeepsExtremes) {
  MakeRun("r1");
  {
    auto writer = Writer();
    for (int i = 0; i < 20000; ++i) writer->Append("x", i == 7777 ? 1e6 : i == 12345 ? -1e6 : std::sin(i * 0.01));
  }
  for (const bool folded : {false, true}) {
    if (folded) metrics().Fold("r1", true);
    const MetricSeries series = metrics().Query("r1", {.name = "x", .downsample_to = 100});
    EXPECT_EQ(series.total, 20000);
    EXPECT_LE(series.points.size(), 100u);
    EXPECT_GE(series.points.size(), 80u);
    EXPECT_EQ(series.points.front().step, 0);
    EXPECT_EQ(series.points.back().step, 19999);
    bool high = false, low = false;
    for (size_t i = 0; i < series.points.size(); ++i) {
      EXPECT_TRUE(i == 0 || series.points[i - 1].step < series.points[i].step);
      high = high || series.points[i].step == 7777;
      low = low || series.points[i].step == 12345;
    }
    EXPECT_TRUE(high && low);
  }
  EXPECT_EQ(metrics().Query("r1", {.name = "x", .downsample_to = 30000}).points.size(), 20000u);
  EXPECT_EQ(StatusOf([&] { metrics().Query("r1", {.name = "x", .downsample_to = 3}); }), Status::kInvalidArgument);
}

// Values of all kinds, in the order in which they were logged, wherever they are.
TEST_F(MetricStoreTest, ValuesOfEveryKind) {
  MakeRun("r1");
  const auto write = [&](JournalWriter *writer) {
    for (int i = 0; i < 200; ++i) {
      writer->Append("mixed", i);
      writer->Record(MetricKind::kText, "mixed", "\"t" + std::to_string(i) + "\"");
    }
    writer->Record(MetricKind::kRow, "row", R"({"a":1})", 5);
    writer->Record(MetricKind::kRow, "row", R"({"a":2})", 6);
    writer->Record(MetricKind::kList, "lists", "[1,2]");
  };
  auto first = Writer(0, 0, 8192), second = Writer(2);
  write(first.get());
  write(second.get());
  Writer(-1)->Append("system/x", 1);
  const auto check = [&](const char *when) {
    SCOPED_TRACE(when);
    const auto all = metrics().Values("r1", {});
    EXPECT_EQ(all.size(), 3u);
    const auto &mixed = all.at("mixed");
    ASSERT_EQ(mixed.size(), 800u);
    for (size_t i = 0; i < mixed.size(); ++i) {
      const int n = static_cast<int>(i % 400) / 2;
      ASSERT_EQ(mixed[i].rank, i < 400 ? 0 : 2);
      ASSERT_EQ(mixed[i].point.step, static_cast<int64_t>(i % 400));
      if (i % 2 == 0) {
        ASSERT_EQ(mixed[i].kind, MetricKind::kScalar);
        ASSERT_EQ(mixed[i].point.value, n);
      } else {
        ASSERT_EQ(mixed[i].kind, MetricKind::kText);
        ASSERT_EQ(mixed[i].json, "\"t" + std::to_string(n) + "\"");
      }
    }
    EXPECT_EQ(metrics().Values("r1", {.name = "row", .rank = 2, .first_step = 6}).at("row").size(), 1u);
    EXPECT_TRUE(metrics().Values("r1", {.name = "row", .first_step = 7}).empty());
    EXPECT_EQ(metrics().Values("r1", {.kinds = {MetricKind::kText}}).at("mixed").size(), 400u);
    EXPECT_EQ(metrics().Values("r1", {.prefix = "l"}).size(), 1u);
    EXPECT_EQ(metrics().Values("r1", {.rank = -1}).at("system/x").size(), 1u);
    const auto last = metrics().Values("r1", {.name = "mixed", .limit = 3}).at("mixed");
    ASSERT_EQ(last.size(), 3u);
    EXPECT_EQ(last[0].json, "\"t198\"");
    EXPECT_EQ(last[2].json, "\"t199\"");
    // Numbers alone, as before.
    EXPECT_EQ(metrics().Query("r1", {.name = "mixed"}).total, 400);
    EXPECT_EQ(metrics().Query("r1", {.name = "row"}).total, 0);
    const auto names = metrics().ListNames("r1");
    ASSERT_EQ(names.size(), 4u);
    EXPECT_EQ(names[0].kind, MetricKind::kList);
    EXPECT_EQ(names[1].count, 800);
    EXPECT_EQ(names[1].maximum, 199);
    EXPECT_EQ(names[2].kind, MetricKind::kRow);
    EXPECT_TRUE(std::isnan(names[2].minimum));
  };
  check("live");
  metrics().Fold("r1", false);
  check("half folded");
  first.reset();
  second.reset();
  EXPECT_GT(metrics().Fold("r1", true).points, 0);
  EXPECT_TRUE(ListSegments(JournalDir("r1")).empty());
  check("folded");
}

// A record that is as large as it may be goes through all of it.
TEST_F(MetricStoreTest, LargeRecords) {
  MakeRun("r1");
  const std::string large = "\"" + std::string(JournalWriter::kMaxRecord - 2, 'x') + "\"";
  for (int i = 0; i < 5; ++i) Writer(0, 0, 1 << 18)->Record(MetricKind::kText, "t", large);
  for (const bool folded : {false, true}) {
    if (folded) metrics().Fold("r1", true);
    const auto values = metrics().Values("r1", {}).at("t");
    ASSERT_EQ(values.size(), 5u);
    for (const MetricEntry &entry : values) EXPECT_EQ(entry.json, large);
  }
}

TEST_F(MetricStoreTest, DeletingARunDeletesItsMetrics) {
  MakeRun("r1");
  Writer()->Append("x", 1);
  metrics().Fold("r1", true);
  store().runs().Transition("r1", RunState::kCompleted);
  store().runs().Delete("r1");
  EXPECT_EQ(StatusOf([&] { metrics().ListNames("r1"); }), Status::kNotFound);
  store().database().Read([](Connection &db) {
    auto query = db.Prepare(
        "SELECT (SELECT COUNT(*) FROM metric_chunks) + (SELECT COUNT(*) FROM metric_names) + "
        "(SELECT COUNT(*) FROM metric_segments) + (SELECT COUNT(*) FROM run_states)");
    query.Step();
    EXPECT_EQ(query.Int(0), 0);
  });
}

}  // namespace
}  // namespace trainyard
