#include "trainyard/train.h"

#include "capi/handles.h"
#include "engine/loader.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace {

// The common shape of the setters: `set(config, key)`.
template <typename Set>
ty_status SetSetting(ty_train_config *config, const char *key, ty_error **err, Set set) noexcept {
  return guard(err, [&] {
    require(config, "config");
    require(key, "key");
    set(config->config);
  });
}

// Calls one of the engine's functions of a trainer: `call(engine, trainer, &error)`.
template <typename Call>
void WithEngine(ty_trainer *trainer, Call call) {
  require_handle(trainer, "trainer");
  ty_engine_error error{};
  CheckEngine(*trainer->engine, call(*trainer->engine, trainer->trainer, &error), &error);
}

static_assert(TY_FIT_TRAIN == TY_ENGINE_FIT_TRAIN && TY_FIT_VALIDATION == TY_ENGINE_FIT_VALIDATION &&
              TY_FIT_DONE == TY_ENGINE_FIT_DONE && TY_FIT_EARLY_STOP == TY_ENGINE_FIT_EARLY_STOP &&
              TY_FIT_STOPPED == TY_ENGINE_FIT_STOPPED);

// The host program's callbacks as the engine calls them, and how one of them failed. They run below the engine, where
// nothing may be thrown: the error is made afterwards.
class FitCallbacks {
 public:
  FitCallbacks(ty_fit_next_batch next_batch, ty_fit_on_epoch on_epoch, void *user_data)
      : next_batch_(next_batch), on_epoch_(on_epoch), user_data_(user_data) {}

  ty_engine_fit_host host() { return {this, &NextBatch, &OnEpoch}; }

  // The failure of a callback, if there was one.
  void Check() const {
    if (failed_ == nullptr) return;
    std::string place = "epoch " + std::to_string(epoch_);
    Error::Details details = {{"code", "callback"}, {"callback", failed_}, {"epoch", std::to_string(epoch_)}};
    if (step_ > 0) {
      place += (phase_ == TY_FIT_TRAIN ? ", step " : ", validation batch ") + std::to_string(step_);
      details["step"] = std::to_string(step_);
    }
    if (status_ < TY_ERR_INVALID_ARGUMENT || status_ > TY_ERR_RUN_FAILED) {
      throw Error::InvalidArgument(std::string(failed_) + " answered " + std::to_string(status_) + " in " + place +
                                       ": it must be TY_OK, TY_END or one of TY_ERR_...",
                                   std::move(details));
    }
    throw Error(static_cast<Status>(status_),
                std::string(failed_) + " answered " + ty_status_name(status_) + " in " + place, std::move(details));
  }

 private:
  int32_t Take(const char *callback, ty_status status, ty_fit_phase phase, int64_t epoch, int64_t step) noexcept {
    if (status == TY_OK) return TY_ENGINE_FIT_GO_ON;
    if (status == TY_END) return TY_ENGINE_FIT_END;
    failed_ = callback;
    status_ = status;
    phase_ = phase;
    epoch_ = epoch;
    step_ = step;
    return TY_ENGINE_FIT_FAIL;
  }

  static int32_t NextBatch(void *user, int32_t phase, int64_t epoch, int64_t step, const DLTensor **out_inputs,
                           const DLTensor **out_targets) {
    auto *self = static_cast<FitCallbacks *>(user);
    return self->Take("next_batch", self->next_batch_(phase, epoch, step, out_inputs, out_targets, self->user_data_),
                      phase, epoch, step);
  }

  static int32_t OnEpoch(void *user, const ty_engine_fit_epoch *done) {
    auto *self = static_cast<FitCallbacks *>(user);
    if (self->on_epoch_ == nullptr) return TY_ENGINE_FIT_GO_ON;
    ty_fit_epoch epoch{};
    epoch.struct_size = sizeof epoch;
    epoch.is_best = done->is_best;
    epoch.epoch = done->epoch;
    epoch.epochs = done->epochs;
    epoch.steps = done->steps;
    epoch.skipped_steps = done->skipped_steps;
    epoch.train_loss = done->train_loss;
    epoch.train_accuracy = done->train_accuracy;
    epoch.validation_loss = done->validation_loss;
    epoch.validation_accuracy = done->validation_accuracy;
    epoch.learning_rate = done->learning_rate;
    epoch.seconds = done->seconds;
    return self->Take("on_epoch", self->on_epoch_(&epoch, self->user_data_), TY_FIT_TRAIN, done->epoch, 0);
  }

  const ty_fit_next_batch next_batch_;
  const ty_fit_on_epoch on_epoch_;
  void *const user_data_;
  const char *failed_ = nullptr;  // which of the two
  ty_status status_ = TY_OK;
  ty_fit_phase phase_ = TY_FIT_TRAIN;
  int64_t epoch_ = 0, step_ = 0;
};

}  // namespace

extern "C" {

ty_status ty_train_config_new(ty_train_config **out_config, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_config, "out_config");
    *out_config = std::make_unique<ty_train_config>().release();
  });
}

ty_status ty_train_config_from_json(const char *json, ty_train_config **out_config, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_config, "out_config");
    require(json, "json");
    auto config = std::make_unique<ty_train_config>();
    config->config = TrainConfig::FromJson(Json::Parse(json, "train"), "train");
    *out_config = config.release();
  });
}

ty_status ty_train_config_to_json(const ty_train_config *config, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require(config, "config");
    *out_json = capi::CopyString(config->config.ToJson().DumpPretty());
  });
}

ty_status ty_train_config_describe(char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    *out_json = capi::CopyString(TrainConfig::DescribeJson());
  });
}

ty_status ty_train_config_set_string(ty_train_config *config, const char *key, const char *value,
                                     ty_error **err) noexcept {
  return SetSetting(config, key, err, [&](TrainConfig &target) { target.SetString(key, capi::Utf8(value, "value")); });
}

ty_status ty_train_config_set_int(ty_train_config *config, const char *key, int64_t value, ty_error **err) noexcept {
  return SetSetting(config, key, err, [&](TrainConfig &target) { target.SetInteger(key, value); });
}

ty_status ty_train_config_set_double(ty_train_config *config, const char *key, double value, ty_error **err) noexcept {
  return SetSetting(config, key, err, [&](TrainConfig &target) { target.SetNumber(key, value); });
}

ty_status ty_train_config_set_bool(ty_train_config *config, const char *key, int32_t value, ty_error **err) noexcept {
  return SetSetting(config, key, err, [&](TrainConfig &target) { target.SetBool(key, value != 0); });
}

ty_status ty_train_config_set_doubles(ty_train_config *config, const char *key, const double *values, size_t count,
                                      ty_error **err) noexcept {
  return SetSetting(config, key, err, [&](TrainConfig &target) {
    require(values, "values");
    target.SetNumberList(key, std::vector<double>(values, values + count));
  });
}

void ty_train_config_free(ty_train_config *config) noexcept {
  std::unique_ptr<ty_train_config>{config};
}

ty_status ty_trainer_new(const ty_train_config *config, const char *weights_path, ty_trainer **out_trainer,
                         ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_trainer, "out_trainer");
    require(config, "config");
    config->config.CheckTrainer();
    auto trainer = std::make_unique<ty_trainer>();
    trainer->engine = &LoadEngine();
    const std::string json = config->config.ToJson().Dump();
    ty_engine_error error{};
    CheckEngine(*trainer->engine, trainer->engine->trainer_new(json.c_str(), weights_path, &trainer->trainer, &error),
                &error);
    *out_trainer = trainer.release();
  });
}

ty_status ty_trainer_step(ty_trainer *trainer, const DLTensor *inputs, const DLTensor *targets, double *out_loss,
                          ty_error **err) noexcept {
  return guard(err, [&] {
    require(inputs, "inputs");
    require(targets, "targets");
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_step(own, inputs, targets, out_loss, error);
    });
  });
}

ty_status ty_trainer_evaluate(ty_trainer *trainer, const DLTensor *inputs, const DLTensor *targets, double *out_loss,
                              double *out_accuracy, ty_error **err) noexcept {
  return guard(err, [&] {
    require(inputs, "inputs");
    require(targets, "targets");
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_evaluate(own, inputs, targets, out_loss, out_accuracy, error);
    });
  });
}

ty_status ty_trainer_predict(ty_trainer *trainer, const DLTensor *inputs, float *outputs, size_t count,
                             ty_error **err) noexcept {
  return guard(err, [&] {
    require(inputs, "inputs");
    require(outputs, "outputs");
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_predict(own, inputs, outputs, count, error);
    });
  });
}

ty_status ty_trainer_end_epoch(ty_trainer *trainer, double validation_loss, ty_error **err) noexcept {
  return guard(err, [&] {
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_end_epoch(own, validation_loss, error);
    });
  });
}

ty_status ty_trainer_save(ty_trainer *trainer, const char *path, ty_error **err) noexcept {
  return guard(err, [&] {
    require(path, "path");
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_save(own, path, error);
    });
  });
}

ty_status ty_trainer_load(ty_trainer *trainer, const char *path, ty_error **err) noexcept {
  return guard(err, [&] {
    require(path, "path");
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_load(own, path, error);
    });
  });
}

ty_status ty_trainer_save_weights(ty_trainer *trainer, const char *path, ty_error **err) noexcept {
  return guard(err, [&] {
    require(path, "path");
    WithEngine(trainer, [&](const ty_engine &engine, ty_engine_trainer *own, ty_engine_error *error) {
      return engine.trainer_save_weights(own, path, error);
    });
  });
}

ty_status ty_trainer_fit(ty_trainer *trainer, ty_fit_next_batch next_batch, ty_fit_on_epoch on_epoch, void *user_data,
                         ty_destroy destroy, const ty_fit_summary **out_summary, ty_error **err) noexcept {
  return guard(err, [&] {
    const std::shared_ptr<void> owned = capi::OwnUserData(user_data, destroy);
    capi::clear_out(out_summary);
    require_handle(trainer, "trainer");
    require(next_batch, "next_batch");
    FitCallbacks callbacks(next_batch, on_epoch, user_data);
    const ty_engine_fit_host host = callbacks.host();
    ty_engine_fit_summary done{};
    ty_engine_error error{};
    const int32_t status = trainer->engine->trainer_fit(trainer->trainer, &host, &done, &error);
    try {
      CheckEngine(*trainer->engine, status, &error);
    } catch (const Error &) {
      callbacks.Check();
      throw;
    }
    trainer->fit = {sizeof(ty_fit_summary),   done.ending, done.epochs, done.steps, done.skipped_steps, done.best_epoch,
                    done.best_validation_loss};
    if (out_summary != nullptr) *out_summary = &trainer->fit;
  });
}

ty_status ty_trainer_request_stop(ty_trainer *trainer, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(trainer, "trainer");
    trainer->engine->trainer_request_stop(trainer->trainer);
  });
}

void ty_trainer_free(ty_trainer *trainer) noexcept {
  delete trainer;
}

}  // extern "C"
