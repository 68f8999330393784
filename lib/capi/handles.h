// What is behind the opaque handles. A handle holds what it needs of its parents, so that they may be freed in any
// order; it remembers the process it was made in, because nothing it holds survives a fork.
#pragma once

#include <unistd.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capi/guard.h"
#include "core/distribution.h"
#include "core/job.h"
#include "core/metric.h"
#include "core/model.h"
#include "drivers/driver.h"
#include "engine/engine.h"
#include "trainyard/trainyard.h"

namespace trainyard::capi {

// The process a handle belongs to.
class Origin {
 public:
  void Check() const {
    if (pid_ != getpid())
      throw Error(Status::kForked, "the handle was made before fork(): a forked child must exec first");
  }

 private:
  pid_t pid_ = getpid();
};

// `require` for handles.
template <typename Handle>
void require_handle(const Handle *handle, const char *name) {
  require(handle, name);
  handle->origin.Check();
}

// `char *` for the caller, freed by ty_string_free.
char *CopyString(std::string_view text);
ty_string_list *MakeStringList(std::vector<std::string> strings);
// Versions of models and data assets: as decimal texts; and what asks for one of them, 0 for the latest.
ty_string_list *MakeVersionList(const std::vector<int64_t> &versions);
void CheckVersion(int64_t version);
std::string OptionalString(const char *text);
// A string that is written into records: there, and valid UTF-8.
std::string Utf8(const char *text, const char *name);
std::string OptionalUtf8(const char *text, const char *name);

// {user_data, destroy} of a callback: destroy runs exactly once, when the last copy goes.
std::shared_ptr<void> OwnUserData(void *user_data, ty_destroy destroy);

ty_run *MakeRun(std::shared_ptr<Driver> driver, std::string id, std::string experiment);
ty_model *MakeModel(std::shared_ptr<Driver> driver, ModelRecord record);

}  // namespace trainyard::capi

struct ty_string_list {
  std::vector<std::string> strings;
};

struct ty_workspace {
  trainyard::capi::Origin origin;
  std::shared_ptr<trainyard::Driver> driver;
};

struct ty_distribution {
  trainyard::Distribution distribution;
};

struct ty_job {
  trainyard::Job job;
};

struct ty_environment {
  trainyard::Environment environment;
};

struct ty_train_config {
  trainyard::TrainConfig config;
};

struct ty_run {
  trainyard::capi::Origin origin;
  std::shared_ptr<trainyard::Driver> driver;
  std::string id, experiment;
  mutable std::mutex metrics_mutex;
  mutable std::unique_ptr<trainyard::MetricWriter> metrics;  // opened at the first metric
};

struct ty_metric_series {
  std::vector<int64_t> steps, times;
  std::vector<double> values;
  std::vector<int32_t> ranks;
  int64_t total = 0;
};

struct ty_event_stream {
  trainyard::capi::Origin origin;
  std::unique_ptr<trainyard::EventStream> stream;
  trainyard::Event current;  // what `event` points into
  ty_event event{};
};

struct ty_model {
  trainyard::capi::Origin origin;
  std::shared_ptr<trainyard::Driver> driver;
  trainyard::ModelRecord record;
};

struct ty_compute {
  trainyard::capi::Origin origin;
  std::shared_ptr<trainyard::Driver> driver;
  std::string name;
};

struct ty_trainer {
  trainyard::capi::Origin origin;
  const ty_engine *engine = nullptr;
  ty_engine_trainer *trainer = nullptr;
  ty_fit_summary fit{};  // of the last one
  ~ty_trainer() {
    if (trainer != nullptr) engine->trainer_free(trainer);
  }
};

struct ty_predictor {
  trainyard::capi::Origin origin;
  const ty_engine *engine = nullptr;
  ty_engine_predictor *predictor = nullptr;
  ~ty_predictor() {
    if (predictor != nullptr) engine->predictor_free(predictor);
  }
};
