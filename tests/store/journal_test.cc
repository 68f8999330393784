#include "store/journal.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <thread>

#include "store/journal_format.h"
#include "store_fixture.h"
#include "util/hash.h"

namespace trainyard {
namespace {

using Mode = JournalOptions::Mode;

struct Point {
  std::string name;
  int64_t step;
  double value;
  bool operator==(const Point &) const = default;
};

std::vector<Point> ReadAll(JournalReader *reader) {
  std::vector<Point> points;
  JournalRecord record;
  while (reader->Next(&record)) {
    for (const MetricPoint &point : record.points)
      points.push_back({std::string(record.name), point.step, point.value});
  }
  return points;
}

std::vector<Point> ReadFileOf(const std::string &path, bool final = true) {
  JournalReader reader(path);
  reader.set_final(final);
  return ReadAll(&reader);
}

class JournalTest : public testing::TestWithParam<Mode> {
 protected:
  JournalOptions Options(uint64_t segment_bytes = uint64_t{32} << 20) const { return {segment_bytes, GetParam()}; }
  std::string Segment(int n = 0) const { return directory_.path() + "/" + SegmentFileName({0, 0, n}); }
  TempDir directory_;
};

INSTANTIATE_TEST_SUITE_P(Modes, JournalTest, testing::Values(Mode::kMapped, Mode::kWrite),
                         [](const auto &info) { return info.param == Mode::kMapped ? "Mapped" : "Write"; });

TEST(SegmentName, RoundTrip) {
  EXPECT_EQ(SegmentFileName({3, 1, 12}), "rank3.1.12.tyj");
  EXPECT_EQ(ParseSegmentFileName("rank3.1.12.tyj"), (SegmentId{3, 1, 12}));
  EXPECT_EQ(ParseSegmentFileName("rank-1.0.0.tyj"), (SegmentId{-1, 0, 0}));
  for (const char *bad : {"", "rank.tyj", "rank1.2.tyj", "rank1.2.3.4.tyj", "rankx.0.0.tyj", "rank0.0.0.tyj.damaged"}) {
    EXPECT_EQ(ParseSegmentFileName(bad), std::nullopt) << bad;
  }
}

TEST_P(JournalTest, ReadsWhatWasWritten) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  writer.Append("loss", 0.5, 7, 1000);
  writer.Append("loss", 0.25);
  writer.Append("acc", 1);
  const std::vector<double> values = {1, 2, 3};
  writer.AppendBatch("loss", values, {}, 2000);
  const std::vector<int64_t> steps = {30, 20, 10};
  writer.AppendBatch("lr", values, steps);
  writer.Progress(R"({"epoch":1})", 3000);

  JournalReader reader(Segment());
  JournalRecord record;
  ASSERT_TRUE(reader.Next(&record));
  EXPECT_EQ(record.time_ms, 1000);
  EXPECT_EQ(record.ordinal, 0);
  std::vector<Point> expected = {{"loss", 8, 0.25}, {"acc", 0, 1}, {"loss", 9, 1}, {"loss", 10, 2},
                                 {"loss", 11, 3},   {"lr", 30, 1}, {"lr", 20, 2},  {"lr", 10, 3}};
  std::vector<Point> got;
  std::string progress;
  while (reader.Next(&record)) {
    if (record.kind == JournalRecord::Kind::kProgress) progress = record.text;
    for (const MetricPoint &point : record.points) got.push_back({std::string(record.name), point.step, point.value});
  }
  EXPECT_EQ(got, expected);
  EXPECT_EQ(progress, R"({"epoch":1})");
  EXPECT_EQ(reader.ordinal(), 10);
  EXPECT_FALSE(reader.Finished());
  writer.Append("acc", 2);
  EXPECT_EQ(ReadAll(&reader), (std::vector<Point>{{"acc", 1, 2}}));
  writer.Close();
  EXPECT_TRUE(reader.Finished());
  EXPECT_EQ(reader.skipped_bytes(), 0u);
  EXPECT_EQ(StatusOf([&] { writer.Append("acc", 3); }), Status::kInvalidState);
}

TEST_P(JournalTest, RecordsAndNumbersShareStepsAndOrdinals) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  writer.Append("v", 1);
  writer.Record(MetricKind::kText, "v", "\"a\"", std::nullopt, 1000);
  writer.Record(MetricKind::kRow, "r", R"({"a":1})", 7);
  writer.Record(MetricKind::kRow, "r", R"({"a":2})");
  writer.Append("v", 2);
  JournalReader reader(Segment());
  JournalRecord record;
  std::vector<std::tuple<std::string, MetricKind, int64_t, std::string>> got;
  int64_t ordinal = 0;
  uint64_t offset = 0;
  while (reader.Next(&record)) {
    EXPECT_EQ(record.ordinal, ordinal++);
    ASSERT_EQ(record.points.size(), 1u);
    EXPECT_EQ(std::isnan(record.points[0].value), record.kind == JournalRecord::Kind::kRecord);
    got.emplace_back(record.name, record.metric, record.points[0].step,
                     record.kind == JournalRecord::Kind::kRecord ? record.text : "");
    EXPECT_EQ(record.time_ms == 1000, ordinal == 2);
    if (ordinal == 4) offset = record.offset;
  }
  EXPECT_EQ(got, (decltype(got){{"v", MetricKind::kScalar, 0, ""},
                                {"v", MetricKind::kText, 1, "\"a\""},
                                {"r", MetricKind::kRow, 7, R"({"a":1})"},
                                {"r", MetricKind::kRow, 8, R"({"a":2})"},
                                {"v", MetricKind::kScalar, 2, ""}}));
  reader.Seek(offset, 3);
  ASSERT_TRUE(reader.Next(&record));
  EXPECT_EQ(record.text, R"({"a":2})");
  EXPECT_EQ(record.name, "r");
}

TEST_P(JournalTest, ANameHasOneFamilyOfValues) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  writer.Append("v", 1);
  writer.Record(MetricKind::kList, "v", "[1]");
  std::string message;
  EXPECT_EQ(StatusOf([&] { writer.Record(MetricKind::kRow, "v", R"({"a":1})"); }, &message), Status::kInvalidArgument);
  EXPECT_NE(message.find("'v' has values of another kind"), std::string::npos) << message;
  writer.Record(MetricKind::kRow, "r", R"({"a":1})");
  EXPECT_EQ(StatusOf([&] { writer.Append("r", 1); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { writer.AppendBatch("r", std::vector<double>{1}); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { writer.Record(MetricKind::kImage, "r", "{}"); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { writer.Record(MetricKind::kRow, "", "{}"); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { writer.Record(MetricKind::kRow, "big", std::string((1 << 20) + 1, 'x')); }),
            Status::kInvalidArgument);
  writer.Record(MetricKind::kRow, "big", std::string(1 << 20, 'x'));
  writer.Record(MetricKind::kTable, "r", R"({"a":[1]})");
  writer.Append("v", 2);
  JournalReader reader(Segment());
  JournalRecord record;
  int count = 0;
  while (reader.Next(&record)) ++count;
  EXPECT_EQ(count, 6);
  EXPECT_EQ(reader.skipped_bytes(), 0u);
}

TEST_P(JournalTest, GoesOnFromAnEarlierPlace) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  for (int i = 0; i < 100; ++i) writer.Append(i % 2 == 0 ? "a" : "b", i);
  uint64_t offset = 0;
  int64_t ordinal = 0;
  {
    JournalReader reader(Segment());
    JournalRecord record;
    for (int i = 0; i <= 60; ++i) ASSERT_TRUE(reader.Next(&record));
    offset = record.offset;
    ordinal = record.ordinal;
  }
  EXPECT_EQ(ordinal, 60);
  JournalReader reader(Segment());
  reader.Seek(offset, ordinal);
  const auto points = ReadAll(&reader);
  ASSERT_EQ(points.size(), 40u);
  EXPECT_EQ(points[0], (Point{"a", 30, 60}));
  EXPECT_EQ(points[39], (Point{"b", 49, 99}));
  EXPECT_EQ(reader.ordinal(), 100);
}

TEST_P(JournalTest, RotatesAndNamesAgain) {
  JournalWriter writer(directory_.path(), 0, 0, Options(8192));
  for (int i = 0; i < 500; ++i) writer.Append("loss", i);
  std::vector<double> many(10000, 1.5);  // a frame larger than a segment
  writer.AppendBatch("loss", many);
  writer.Append("loss", 2);
  writer.Close();
  const auto segments = ListSegments(directory_.path());
  EXPECT_GT(segments.size(), 4u);
  std::vector<Point> all;
  for (const SegmentId &id : segments) {
    const auto points = ReadFileOf(Segment(id.number));
    all.insert(all.end(), points.begin(), points.end());
    EXPECT_TRUE(JournalReader(Segment(id.number)).Sealed());
  }
  ASSERT_EQ(all.size(), 10501u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].step, static_cast<int64_t>(i));
}

TEST_P(JournalTest, TwoWritersOfOneRankHaveTheirOwnSegments) {
  JournalWriter a(directory_.path(), 0, 0, Options());
  JournalWriter b(directory_.path(), 0, 0, Options());
  a.Append("x", 1);
  b.Append("x", 2);
  a.Append("x", 3);
  EXPECT_EQ(ReadFileOf(Segment(0)), (std::vector<Point>{{"x", 0, 1}, {"x", 1, 3}}));
  EXPECT_EQ(ReadFileOf(Segment(1)), (std::vector<Point>{{"x", 0, 2}}));
}

TEST_P(JournalTest, ManyThreads) {
  JournalWriter writer(directory_.path(), 0, 0, Options(1 << 16));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) writer.Append("m" + std::to_string(t), i, i);
    });
  }
  for (std::thread &thread : threads) thread.join();
  writer.Close();
  std::map<std::string, int64_t> next;
  for (const SegmentId &id : ListSegments(directory_.path())) {
    for (const Point &point : ReadFileOf(Segment(id.number))) EXPECT_EQ(point.step, next[point.name]++);
  }
  EXPECT_EQ(next.size(), 4u);
  for (const auto &[name, count] : next) EXPECT_EQ(count, 2000) << name;
}

TEST_P(JournalTest, ReaderFollowsAWriter) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  writer.Append("x", 0);
  std::thread thread([&] {
    for (int i = 1; i < 20000; ++i) writer.Append("x", i);
    writer.Close();
  });
  JournalReader reader(Segment());
  std::vector<Point> points;
  while (points.size() < 20000 && !reader.Finished()) {
    const auto more = ReadAll(&reader);
    points.insert(points.end(), more.begin(), more.end());
  }
  const auto more = ReadAll(&reader);
  points.insert(points.end(), more.begin(), more.end());
  thread.join();
  ASSERT_EQ(points.size(), 20000u);
  for (size_t i = 0; i < points.size(); ++i) ASSERT_EQ(points[i].value, static_cast<double>(i));
  EXPECT_EQ(reader.skipped_bytes(), 0u);
}

TEST_P(JournalTest, BadNamesAreRefused) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  EXPECT_EQ(StatusOf([&] { writer.Append("", 1); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { writer.Append(std::string(256, 'x'), 1); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { writer.Append("\xff", 1); }), Status::kInvalidArgument);
  const std::vector<double> values = {1, 2};
  const std::vector<int64_t> steps = {1};
  EXPECT_EQ(StatusOf([&] { writer.AppendBatch("x", values, steps); }), Status::kInvalidArgument);
}

TEST_P(JournalTest, AForkedChildIsRefused) {
  JournalWriter writer(directory_.path(), 0, 0, Options());
  writer.Append("x", 1);
  EXPECT_EQ(InChild([&] { return StatusOf([&] { writer.Append("x", 2); }) == Status::kForked ? 7 : 1; }), 7);
  writer.Append("x", 3);
  EXPECT_EQ(ReadFileOf(Segment()).size(), 2u);
}

// kill -9 of the writer: every point whose append returned is there.
TEST_P(JournalTest, KillLosesNothing) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    JournalWriter writer(directory_.path(), 0, 0, Options(1 << 18));
    for (int64_t i = 0;; ++i) {
      writer.Append("x", static_cast<double>(i));
      if (write(pipe_fds[1], &i, sizeof i) != sizeof i) _exit(1);  // acknowledged
    }
  }
  close(pipe_fds[1]);
  int64_t acknowledged = -1, number = 0;
  while (acknowledged < 20000 && read(pipe_fds[0], &number, sizeof number) == sizeof number) acknowledged = number;
  kill(child, SIGKILL);
  while (read(pipe_fds[0], &number, sizeof number) == sizeof number) acknowledged = number;
  waitpid(child, nullptr, 0);
  close(pipe_fds[0]);
  int64_t next = 0;
  for (const SegmentId &id : ListSegments(directory_.path())) {
    for (const Point &point : ReadFileOf(Segment(id.number))) EXPECT_EQ(point.step, next++);
  }
  EXPECT_GE(next, acknowledged + 1);
}

TEST_P(JournalTest, TornAtEveryByte) {
  {
    JournalWriter writer(directory_.path(), 0, 0, Options());
    writer.Append("loss", 1);
    writer.Progress("{}");
    writer.Append("loss", 2);
    const std::vector<double> values = {3, 4, 5};
    writer.AppendBatch("acc", values);
  }
  const std::string whole = ReadFile(Segment());
  const auto all = ReadFileOf(Segment());
  ASSERT_EQ(all.size(), 5u);
  const std::string torn = directory_.path() + "/torn";
  size_t most = 0;
  // Every byte of the frames; the header is mostly zeros.
  for (size_t size = 0; size <= whole.size(); size += size < journal::kHeaderSize - 100 && size > 8 ? 50 : 1) {
    WriteFileAtomic(torn, std::string_view(whole).substr(0, size), 0600, false);
    if (size > 0 && size < 8) {
      EXPECT_EQ(StatusOf([&] { ReadFileOf(torn); }), Status::kCorrupt) << size;
      continue;
    }
    const auto points = ReadFileOf(torn);
    ASSERT_LE(points.size(), all.size());
    ASSERT_TRUE(std::equal(points.begin(), points.end(), all.begin())) << size;
    ASSERT_GE(points.size(), most);
    most = points.size();
  }
  EXPECT_EQ(most, all.size());
}

TEST_P(JournalTest, DamageIsSkippedAndCounted) {
  {
    JournalWriter writer(directory_.path(), 0, 0, Options());
    for (int i = 0; i < 10; ++i) writer.Append("x", i);
  }
  const std::string whole = ReadFile(Segment());
  const std::string damaged = directory_.path() + "/damaged";
  for (size_t at = journal::kHeaderSize; at < whole.size(); ++at) {
    std::string copy = whole;
    copy[at] = static_cast<char>(copy[at] ^ 0x55);
    WriteFileAtomic(damaged, copy, 0600, false);
    JournalReader reader(damaged);
    reader.set_final(true);
    const auto points = ReadAll(&reader);
    ASSERT_GE(points.size(), 9u) << at;
    // Padding is not covered by the CRC and carries nothing.
    const bool lost = points.size() == 9 || points[0].name != "x";
    ASSERT_EQ(lost, reader.skipped_bytes() > 0) << at;
  }
}

TEST_P(JournalTest, UnknownKindsAreSkipped) {
  {
    JournalWriter writer(directory_.path(), 0, 0, Options());
    writer.Append("x", 1);
  }
  std::string data = ReadFile(Segment());
  std::string frame(24, '\0');
  auto *bytes = reinterpret_cast<uint8_t *>(frame.data());
  journal::Store(bytes, journal::kFrameMagic);
  journal::Store(bytes + 8, uint32_t{12 | 99u << 24});
  journal::Store(bytes + 4, Crc32(bytes + 8, 16));
  data += frame;
  journal::Store(data.data() + journal::kCommittedOffset, uint64_t{0});
  WriteFileAtomic(Segment(), data);
  JournalReader reader(Segment());
  reader.set_final(true);
  EXPECT_EQ(ReadAll(&reader).size(), 1u);
  EXPECT_EQ(reader.skipped_bytes(), 0u);
}

TEST(Journal, NewerVersionAndOtherFilesAreNamed) {
  TempDir directory;
  const std::string path = directory.path() + "/x.tyj";
  std::string data(5000, '\0');
  journal::Store(data.data(), journal::kFileMagic);
  journal::Store(data.data() + 4, uint32_t{2});
  WriteFileAtomic(path, data);
  std::string message;
  EXPECT_EQ(StatusOf([&] { JournalReader reader(path); }, &message), Status::kVersion);
  EXPECT_THAT(message, testing::HasSubstr("journal format 2"));
  WriteFileAtomic(path, "hello world");
  EXPECT_EQ(StatusOf([&] { JournalReader reader(path); }), Status::kCorrupt);
  EXPECT_EQ(StatusOf([&] { JournalReader reader(path + "no"); }), Status::kNotFound);
}

TEST(Journal, ASleepingReaderIsRungFor) {
  TempDir directory;
  JournalWriter writer(directory.path(), 0, 0, {uint64_t{1} << 20, Mode::kMapped});
  writer.Append("x", 1);
  const std::string path = directory.path() + "/" + SegmentFileName({0, 0, 0});
  JournalReader reader(path);
  EXPECT_EQ(ReadAll(&reader).size(), 1u);
  ASSERT_TRUE(reader.Arm());
  const auto word = [&](uint64_t offset) { return journal::Load<uint32_t>(ReadFile(path).data() + offset); };
  EXPECT_EQ(word(journal::kArmedOffset), 1u);
  EXPECT_EQ(word(journal::kBellOffset), 0u);
  writer.Append("x", 2);
  EXPECT_EQ(word(journal::kArmedOffset), 0u);
  EXPECT_NE(word(journal::kBellOffset), 0u);
}

// A limit on file size stands in for a full disk: the kernel would end the process.
TEST_P(JournalTest, FileSizeLimitIsAnError) {
  const int code = InChild([&] {
    rlimit limit{300000, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    JournalWriter writer(directory_.path(), 0, 0, Options());
    int64_t done = 0;
    Status status = Status::kOk;
    while (status == Status::kOk && done < 100000) {
      status = StatusOf([&] { writer.Append("x", static_cast<double>(done)); });
      if (status == Status::kOk) ++done;
    }
    writer.Close();
    return status == Status::kNoSpace && static_cast<int64_t>(ReadFileOf(Segment()).size()) == done && done > 5000 ? 7
                                                                                                                   : 1;
  });
  EXPECT_EQ(code, 7);
}

// A disk that is really full.
TEST_P(JournalTest, FullDisk) {
  if (mount("none", directory_.path().c_str(), "tmpfs", 0, "size=512k") != 0)
    GTEST_SKIP() << "SKIP: mounting a tmpfs needs root";
  {
    JournalWriter writer(directory_.path(), 0, 0, Options());
    int64_t done = 0;
    Status status = Status::kOk;
    std::string message;
    while (status == Status::kOk && done < 100000) {
      status = StatusOf([&] { writer.Append("x", static_cast<double>(done)); }, &message);
      if (status == Status::kOk) ++done;
    }
    EXPECT_EQ(status, Status::kNoSpace);
    EXPECT_THAT(message, testing::HasSubstr(directory_.path()));
    EXPECT_GT(done, 5000);
    EXPECT_EQ(static_cast<int64_t>(ReadFileOf(Segment(), false).size()), done);
  }
  umount(directory_.path().c_str());
}

TEST(Journal, NetworkFileSystemsAreNotMapped) {
  TempDir directory;
  SetFileSystemKindForTest([](const std::string &) { return FileSystemKind{true, "nfs"}; });
  JournalWriter writer(directory.path(), 0, 0);
  writer.Append("x", 1);
  SetFileSystemKindForTest(nullptr);
  const std::string data = ReadFile(directory.path() + "/" + SegmentFileName({0, 0, 0}));
  EXPECT_EQ(journal::Load<uint64_t>(data.data() + journal::kCommittedOffset), 0u);
  EXPECT_EQ(ReadFileOf(directory.path() + "/" + SegmentFileName({0, 0, 0})).size(), 1u);
}

}  // namespace
}  // namespace trainyard
