#include "trainyard/export.h"

#include "capi/handles.h"
#include "engine/loader.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;

extern "C" {

ty_status ty_export_onnx(const char *model_path, const char *options_json, const char *out_path,
                         ty_error **err) noexcept {
  return guard(err, [&] {
    require(model_path, "model_path");
    require(out_path, "out_path");
    const ty_engine &engine = LoadEngine();
    ty_engine_error error{};
    CheckEngine(engine, engine.export_onnx(model_path, options_json, out_path, &error), &error);
  });
}

ty_status ty_export_weights(const char *model_path, const char *format, const char *out_path, ty_error **err) noexcept {
  return guard(err, [&] {
    require(model_path, "model_path");
    require(format, "format");
    require(out_path, "out_path");
    const ty_engine &engine = LoadEngine();
    ty_engine_error error{};
    CheckEngine(engine, engine.export_weights(model_path, format, out_path, &error), &error);
  });
}

}  // extern "C"
