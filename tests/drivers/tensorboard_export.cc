// For tensorboard_test.sh: logs through the library, exports, and says what must be in the files.
//   tensorboard_export <directory>   writes <directory>/one (a run of one rank), <directory>/two (two ranks),
//                                    <directory>/image.png (the image that was logged) and <directory>/expected.json
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/metric_value.h"
#include "drivers/local/local_driver.h"
#include "drivers/metric_export.h"
#include "store/store.h"
#include "util/fs.h"
#include "util/json.h"

namespace trainyard {
namespace {

const std::string kPng(
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9c"
    "c\0\1\0\0\5\0\1\r\n-\xb4\0\0\0\0IEND\xae"
    "B`\x82",
    67);

void Log(JournalWriter *journal, int32_t rank, Json *expected) {
  Json loss = Json::Array(), odd = Json::Array();
  const auto add = [&](const char *name, double value, int64_t step, Json *list) {
    journal->Append(name, value, step, 1700000000000 + step);
    Json point = Json::Array();
    point.Append(step).Append((1700000000000.0 + static_cast<double>(step)) / 1000).Append(value);
    list->Append(point);
  };
  for (int i = 0; i < 10000; ++i) add("train/loss", std::sqrt(i + 100.0 * rank) / 7, i, &loss);
  const double inf = std::numeric_limits<double>::infinity();
  int64_t step = int64_t{1} << 40;
  for (const double value : {0.0, -1.5, std::nan(""), inf, -inf, 1e-40, 3.4e38})
    add("odd \xE2\x82\xAC", value, step++, &odd);
  expected->Set("train/loss", loss).Set("odd \xE2\x82\xAC", odd);
}

int Main(const std::string &directory) {
  const auto driver = OpenLocalWorkspace(directory + "/workspace");
  WriteFileAtomic(directory + "/image.png", kPng);
  Json expected = Json::Object();
  HostRunOptions options;
  options.run_id = "one";
  driver->StartRun("tensorboard", options);
  Json one = Json::Object();
  const RunLayout layout = Layout(directory + "/workspace").Run("one");
  {
    JournalWriter journal(layout.Journal(), 0, 0);
    Log(&journal, 0, &one);
    driver->OpenMetrics("one")->Image("picture", directory + "/image.png", "", 5);
  }
  expected.Set("one", one);
  driver->EndRun("one", RunState::kCompleted, {});
  ExportTensorBoard(driver.get(), "one", directory + "/one");

  options.run_id = "two";
  driver->StartRun("tensorboard", options);
  RunChange change;
  change.rank_count = 2;
  const auto store = Store::Open(directory + "/workspace");
  store->runs().Apply("two", change);
  for (int32_t rank = 0; rank < 2; ++rank) {
    Json ranked = Json::Object();
    JournalWriter journal(Layout(directory + "/workspace").Run("two").Journal(), rank, 0);
    Log(&journal, rank, &ranked);
    expected.Set("two/rank_" + std::to_string(rank), ranked);
  }
  ExportTensorBoard(driver.get(), "two", directory + "/two");  // while it runs
  driver->EndRun("two", RunState::kCompleted, {});
  WriteFileAtomic(directory + "/expected.json", expected.Dump());
  return 0;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  return trainyard::Main(argv[1]);
}
