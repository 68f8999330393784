// Of the engine: settings, trainers, prediction, export.
#include "capi/null_arguments_table.h"

namespace trainyard_test {

void NullArguments::AddTrain() {
  ty_train_config *cf = config.get();
  table.Add("ty_train_config_new", &ty_train_config_new, Out("out_config", &config_out));
  table.Add("ty_train_config_from_json", &ty_train_config_from_json, In("json", "{}"), Out("out_config", &config_out));
  table.Add("ty_train_config_to_json", &ty_train_config_to_json, In("config", cf), Out("out_json", &text));
  table.Add("ty_train_config_describe", &ty_train_config_describe, Out("out_json", &text));
  table.Add("ty_train_config_set_string", &ty_train_config_set_string, In("config", cf), In("key", "device"),
            In("value", "cpu"));
  table.Add("ty_train_config_set_int", &ty_train_config_set_int, In("config", cf), In("key", "threads"),
            Any(int64_t{1}));
  table.Add("ty_train_config_set_double", &ty_train_config_set_double, In("config", cf), In("key", "optimizer.lr"),
            Any(0.1));
  table.Add("ty_train_config_set_bool", &ty_train_config_set_bool, In("config", cf), In("key", "transform.augment"),
            Any(1));
  table.Add("ty_train_config_set_doubles", &ty_train_config_set_doubles, In("config", cf), In("key", "transform.mean"),
            In("values", &doubles[0]), Any(size_t{3}));
  table.AddPlain("ty_train_config_free", [] { ty_train_config_free(nullptr); });
}

void NullArguments::AddTrainer() {
  ty_trainer *tr = trainer.get();
  table.Add("ty_trainer_new", &ty_trainer_new, In("config", config.get()), Any(nullptr),
            Out("out_trainer", &trainer_out));
  table.Add("ty_trainer_step", &ty_trainer_step, In("trainer", tr), In("inputs", &tensor), In("targets", &tensor),
            Any(nullptr));
  table.Add("ty_trainer_evaluate", &ty_trainer_evaluate, In("trainer", tr), In("inputs", &tensor),
            In("targets", &tensor), Any(nullptr), Any(nullptr));
  table.Add("ty_trainer_predict", &ty_trainer_predict, In("trainer", tr), In("inputs", &tensor),
            In("outputs", &probability), Any(size_t{1}));
  table.Add("ty_trainer_end_epoch", &ty_trainer_end_epoch, In("trainer", tr), Any(0.5));
  table.Add("ty_trainer_save", &ty_trainer_save, In("trainer", tr), In("path", "p"));
  table.Add("ty_trainer_load", &ty_trainer_load, In("trainer", tr), In("path", "p"));
  table.Add("ty_trainer_save_weights", &ty_trainer_save_weights, In("trainer", tr), In("path", "p"));
  const ty_fit_next_batch no_batch = [](ty_fit_phase, int64_t, int64_t, const DLTensor **, const DLTensor **, void *) {
    return ty_status{TY_END};
  };
  table.Add("ty_trainer_fit", &ty_trainer_fit, In("trainer", tr), In("next_batch", no_batch), Any(nullptr),
            Any(nullptr), Any(nullptr), OptionalOut(&fit_summary));
  table.Add("ty_trainer_request_stop", &ty_trainer_request_stop, In("trainer", tr));
  table.AddPlain("ty_trainer_free", [] { ty_trainer_free(nullptr); });
}

void NullArguments::AddPredict() {
  ty_predictor *pr = predictor.get();
  table.Add("ty_predictor_open", &ty_predictor_open, In("path", location.c_str()), Any(nullptr),
            Out("out_predictor", &predictor_out));
  table.Add("ty_predictor_open_model", &ty_predictor_open_model, In("model", model.get()), Any(nullptr),
            Out("out_predictor", &predictor_out));
  table.AddPlain("ty_predictor_class_count", [] { EXPECT_EQ(ty_predictor_class_count(nullptr), 0); });
  table.AddPlain("ty_predictor_class_name", [] { EXPECT_EQ(ty_predictor_class_name(nullptr, 0), nullptr); });
  table.Add("ty_predictor_predict_image_file", &ty_predictor_predict_image_file, In("predictor", pr), In("path", "p"),
            Any(1), Out("out_prediction", &prediction_out));
  table.Add("ty_predictor_predict_folder", &ty_predictor_predict_folder, In("predictor", pr), In("directory", "d"),
            Any(1), Out("out_prediction", &prediction_out));
  table.Add("ty_predictor_predict", &ty_predictor_predict, In("predictor", pr), In("input", &tensor),
            In("output", &probability), Any(size_t{1}));
  table.AddPlain("ty_predictor_free", [] { ty_predictor_free(nullptr); });
  table.AddPlain("ty_prediction_size", [] { EXPECT_EQ(ty_prediction_size(nullptr), 0U); });
  table.AddPlain("ty_prediction_path", [] { EXPECT_EQ(ty_prediction_path(nullptr, 0), nullptr); });
  table.AddPlain("ty_prediction_error", [] { EXPECT_EQ(ty_prediction_error(nullptr, 0), nullptr); });
  table.AddPlain("ty_prediction_class_count", [] { EXPECT_EQ(ty_prediction_class_count(nullptr, 0), 0); });
  table.AddPlain("ty_prediction_class_index", [] { EXPECT_EQ(ty_prediction_class_index(nullptr, 0, 0), -1); });
  table.AddPlain("ty_prediction_class_name", [] { EXPECT_EQ(ty_prediction_class_name(nullptr, 0, 0), nullptr); });
  table.AddPlain("ty_prediction_probability", [] { EXPECT_EQ(ty_prediction_probability(nullptr, 0, 0), 0.0); });
  table.AddPlain("ty_prediction_free", [] { ty_prediction_free(nullptr); });
}

void NullArguments::AddExport() {
  table.Add("ty_export_onnx", &ty_export_onnx, In("model_path", location.c_str()), Any(nullptr),
            In("out_path", location.c_str()));
  table.Add("ty_export_weights", &ty_export_weights, In("model_path", location.c_str()), In("format", "state_dict"),
            In("out_path", location.c_str()));
}

}  // namespace trainyard_test
