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

void ty_trainer_free(ty_trainer *trainer) noexcept {
  delete trainer;
}

}  // extern "C"
