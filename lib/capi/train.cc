#include "trainyard/train.h"

#include "capi/handles.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
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

}  // extern "C"
