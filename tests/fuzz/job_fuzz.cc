// Job JSON, training settings, filters and queries: whatever comes is read, or refused with an Error; what was read is
// written and read again the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/job.h"
#include "core/metric_value.h"
#include "core/records_json.h"
#include "fuzz/fuzz.h"
#include "util/error.h"

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  trainyard::Job job;
  job.command = {"echo", "x"};
  job.variables = {{"A", "1"}};
  job.secrets = {{"S", "value"}};
  job.retries = {1, {7}};
  corpus->seeds.push_back(job.ToJson().Dump());
  trainyard::Job training;
  training.kind = trainyard::RunKind::kTrain;
  training.train.emplace().SetString("data.directory", "/d");
  corpus->seeds.push_back(training.ToJson().Dump());
  corpus->seeds.emplace_back(R"({"experiment":"e","states":["Running"],"tag":{"k":"v"},"created_from_ms":1})");
  corpus->seeds.emplace_back(R"({"rank":0,"first_step":1,"limit":5,"downsample_to":6})");
  corpus->dictionary = {"9007199254740993",   "\"NaN\"", "-0", "1e400", "\\ud800", "null",
                        "\"schema_version\"", "[[[[[["};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace trainyard;
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  try {
    const Job job = Job::Parse(text, "job");
    const std::string written = job.ToJson().Canonical();
    if (Job::Parse(written, "job").ToJson().Canonical() != written) std::abort();
    job.Check();
  } catch (const Error &) {
  }
  for (auto read :
       {+[](std::string_view t) { RunFilterFromJson(t); }, +[](std::string_view t) { MetricQueryFromJson(t); },
        +[](std::string_view t) { ModelRequestFromJson(t); }}) {
    try {
      read(text);
    } catch (const Error &) {
    }
  }
  return 0;
}
