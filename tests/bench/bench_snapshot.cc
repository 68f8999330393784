// What a snapshot of a large directory costs: the first time, when everything is read and kept; and again, when nothing
// has changed. The peer of the second is one lstat a file, the least that anybody who looks has to pay.
// Usage: bench_snapshot [files] [bytes each] (default: 20,000 of 100 KiB, 2 GB)
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "bench.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "util/random.h"

namespace {

using bench::NowNs;
using bench::Report;

constexpr int kPerDirectory = 200;

double Seconds(int64_t since_ns) {
  return static_cast<double>(NowNs() - since_ns) / 1e9;
}

// No two files alike, and none that compresses.
void MakeFiles(const std::string &root, int files, size_t bytes) {
  uint64_t state = 88172645463325252ULL;
  std::string data(bytes, '\0');
  for (int i = 0; i < files; ++i) {
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      memcpy(&data[at], &state, 8);
    }
    const std::string directory = root + "/part" + std::to_string(i / kPerDirectory);
    if (i % kPerDirectory == 0) trainyard::MakeDirs(directory);
    trainyard::WriteFileAtomic(directory + "/sample" + std::to_string(i) + ".bin", data, 0644, /*sync=*/false);
  }
}

double SecondsOfLstat(const std::string &root) {
  const std::vector<std::string> names = trainyard::ListTree(root);
  const int64_t start = NowNs();
  struct stat info {};
  for (const std::string &name : names) {
    if (lstat((root + "/" + name).c_str(), &info) != 0) std::exit(1);
  }
  return Seconds(start);
}

}  // namespace

int main(int argc, char **argv) {
  const int files = argc > 1 ? atoi(argv[1]) : 20000;
  const size_t bytes = argc > 2 ? static_cast<size_t>(atoll(argv[2])) : size_t{100} << 10;
  const trainyard::TempDir directory("trainyard-bench");
  const std::string source = directory.path() + "/source";
  MakeFiles(source, files, bytes);
  sync();
  // Older than the margin within which a file counts as just written (store/snapshot_index.h).
  usleep(2500000);
  trainyard::Store store(directory.path() + "/workspace");
  const trainyard::SnapshotRequest request{source, {.max_bytes = 0, .max_files = 0}, store.layout().Root()};
  trainyard::SnapshotReport report;
  int64_t start = NowNs();
  const std::string id = TakeSnapshot(request, &store.objects(), &report).id;
  const double first = Seconds(start);
  Report("snapshot_first", first, "s");
  Report("snapshot_first_rate", static_cast<double>(report.bytes) / first / 1e6, "MB/s");
  std::vector<double> again;
  for (int i = 0; i < 5; ++i) {
    start = NowNs();
    const bool same = TakeSnapshot(request, &store.objects(), &report).id == id;
    again.push_back(Seconds(start));
    if (!same || report.read_files != 0) {
      std::printf("bench FAILED: %llu unchanged files were read\n", static_cast<unsigned long long>(report.read_files));
      return 1;
    }
  }
  const double second = bench::Quantile(again, 0.5), peer = SecondsOfLstat(source);
  bench::ReportPeer("snapshot_unchanged", second * 1000, "ms", peer * 1000);
  return 0;
}
