/*
 * Trains an image classifier, follows the run, registers the model and predicts one image with it.
 *
 *   quickstart --data DIR --image FILE [--workspace DIR] [--weights FILE] [--model NAME] [--epochs N]
 *              [--mode finetune|feature] [--device auto|cpu|cuda] [--seed N]
 *
 * DIR holds the folders train and val, each with one folder of JPEG or PNG files per class.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trainyard/trainyard.h>
#include <unistd.h>

static ty_error *error;

/* Every call that can fail answers with a status and, when asked, an error that says what to do. */
static void check(ty_status status, const char *what) {
  if (status == TY_OK) return;
  fprintf(stderr, "%s: %s (%s)\n", what, ty_error_message(error), ty_status_name(status));
  ty_error_free(error);
  exit(1);
}

/* The value after `--name`, or the fallback. */
static const char *option(int argc, char **argv, const char *name, const char *fallback) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return fallback;
}

/* The number that follows `"key":` in a progress report; a program with a JSON library would use that. */
static double number(const char *json, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *place = strstr(json, quoted);
  return place == NULL ? 0 : strtod(place + strlen(quoted), NULL);
}

static void show_progress(const char *json) {
  const double epochs = number(json, "epochs"), steps = number(json, "steps"), step = number(json, "step");
  const int width = 24, filled = steps > 0 ? (int)(width * step / steps) : 0;
  printf("\repoch %2.0f/%-2.0f [%.*s%.*s] loss %.4f  accuracy %.4f  %5.1f images/s  %4.0f s left ",
         number(json, "epoch"), epochs, filled, "========================", width - filled, "                        ",
         number(json, "loss"), number(json, "accuracy"), number(json, "images_per_second"),
         number(json, "time_left_ms") / 1000);
  fflush(stdout);
}

/* Follows the run to its end: a bar on a terminal, the run's own log lines in a pipe or file. */
static void follow(const ty_run *run) {
  const int terminal = isatty(STDOUT_FILENO);
  ty_event_stream *events = NULL;
  check(ty_run_events(run, NULL, TY_EVENT_STATE | (terminal ? TY_EVENT_PROGRESS : TY_EVENT_LOG), &events, &error),
        "follow");
  const ty_event *event = NULL;
  ty_status status;
  while ((status = ty_event_stream_next(events, TY_WAIT_FOREVER, &event, &error)) == TY_OK) {
    if (event->kind == TY_EVENT_PROGRESS) show_progress(event->text);
    if (event->kind == TY_EVENT_LOG) printf("%s\n", event->text);
    if (event->kind == TY_EVENT_STATE) printf("%sstate %s\n", terminal ? "\n" : "", event->text);
    fflush(stdout);
  }
  if (status != TY_END) check(status, "follow");
  ty_event_stream_free(events);
}

static void print_history(const ty_run *run, const char *metric) {
  ty_metric_series *series = NULL;
  check(ty_run_get_metric(run, metric, NULL, &series, &error), "metric");
  printf("%s:", metric);
  for (size_t i = 0; i < ty_metric_series_size(series); ++i) printf(" %.4f", ty_metric_series_values(series)[i]);
  printf("\n");
  ty_metric_series_free(series);
}

int main(int argc, char **argv) {
  const char *data = option(argc, argv, "--data", NULL);
  const char *image = option(argc, argv, "--image", NULL);
  const char *name = option(argc, argv, "--model", "resnet18");
  if (data == NULL || image == NULL) {
    fprintf(
        stderr,
        "usage: quickstart --data DIR --image FILE [--workspace DIR] [--weights FILE] [--model NAME] [--epochs N]\n");
    return 2;
  }

  /* Where everything is kept: runs, metrics, files, models. */
  ty_workspace *workspace = NULL;
  check(ty_workspace_open(option(argc, argv, "--workspace", "trainyard-workspace"), &workspace, &error), "workspace");

  /* What to train; ty_train_config_describe lists every setting. */
  ty_train_config *config = NULL;
  check(ty_train_config_new(&config, &error), "config");
  check(ty_train_config_set_string(config, "data.directory", data, &error), "data");
  check(ty_train_config_set_string(config, "model.architecture", name, &error), "model");
  check(ty_train_config_set_string(config, "model.weights", option(argc, argv, "--weights", ""), &error), "weights");
  check(ty_train_config_set_string(config, "model.mode", option(argc, argv, "--mode", "finetune"), &error), "mode");
  check(ty_train_config_set_string(config, "device", option(argc, argv, "--device", "auto"), &error), "device");
  check(ty_train_config_set_int(config, "train.epochs", atoll(option(argc, argv, "--epochs", "10")), &error), "epochs");
  check(ty_train_config_set_int(config, "train.seed", atoll(option(argc, argv, "--seed", "0")), &error), "seed");

  /* The run goes on in a process of its own, also when this program ends: ty_run_get attaches again by id. */
  ty_job *job = NULL;
  ty_run *run = NULL;
  check(ty_job_new_train(config, &job, &error), "job");
  check(ty_run_submit(workspace, "quickstart", job, &run, &error), "submit");
  printf("run %s\n", ty_run_id(run));
  follow(run);

  ty_run_state state = TY_RUN_NOT_STARTED;
  check(ty_run_wait(run, TY_WAIT_FOREVER, &state, &error), "wait");
  if (state != TY_RUN_COMPLETED) {
    check(ty_run_failure(run, &error, NULL), "failure");
    fprintf(stderr, "the run ended as %s: %s\n%s\n", ty_run_state_name(state), ty_error_message(error),
            ty_error_detail(error, "stderr") ? ty_error_detail(error, "stderr") : "");
    return 1;
  }

  /* What it left: metric history, files. */
  print_history(run, "train/loss");
  print_history(run, "val/accuracy");
  ty_string_list *files = NULL;
  check(ty_run_list_files(run, "outputs/", &files, &error), "files");
  for (size_t i = 0; i < ty_string_list_size(files); ++i) printf("file %s\n", ty_string_list_get(files, i));

  /* The model: registered as the next version, opened in this process, used. */
  double accuracy = 0;
  check(ty_run_get_metric_value(run, "best_val_accuracy", &accuracy, &error), "accuracy");
  ty_model *model = NULL;
  check(ty_run_register_model(run, name, "outputs", NULL, &model, &error), "register");
  ty_predictor *predictor = NULL;
  check(ty_predictor_open_model(model, option(argc, argv, "--device", "auto"), &predictor, &error), "predictor");
  ty_prediction *prediction = NULL;
  check(ty_predictor_predict_image_file(predictor, image, 1, &prediction, &error), "predict");

  printf("best_val_accuracy %.4f\n", accuracy);
  printf("model %s:%lld\n", ty_model_name(model), (long long)ty_model_version(model));
  printf("prediction %s %s %.4f\n", image, ty_prediction_class_name(prediction, 0, 0),
         ty_prediction_probability(prediction, 0, 0));

  /* In any order. */
  ty_prediction_free(prediction);
  ty_predictor_free(predictor);
  ty_model_free(model);
  ty_string_list_free(files);
  ty_run_free(run);
  ty_job_free(job);
  ty_train_config_free(config);
  ty_workspace_free(workspace);
  return 0;
}
