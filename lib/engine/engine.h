/*
 * The seam between libtrainyard / trainyard-runner and the engine plug-in (libtrainyard_torch.so): plain C between our
 * own libraries, so that no C++ type, exception or allocator crosses it. Version and build are checked for equality,
 * the plug-in is never unloaded.
 *
 * Threads: functions may be called concurrently; one predictor may be used by several threads at once; host callbacks
 * may come from any thread.
 */
#ifndef TRAINYARD_ENGINE_ENGINE_H_
#define TRAINYARD_ENGINE_ENGINE_H_

#include <stddef.h>
#include <stdint.h>

#include "trainyard/dlpack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TY_ENGINE_ABI_VERSION 1
#define TY_ENGINE_ENTRY_NAME "trainyard_engine_entry"
/* Beside the engine, where it was built with an MPI: what a training of several ranks needs. */
#define TY_ENGINE_MPI_LIBRARY "libtrainyard_torch_mpi.so"
/* Beside the engine, where it was built with CUDA: what a training on several GPUs needs. */
#define TY_ENGINE_CUDA_LIBRARY "libtrainyard_torch_cuda.so"

/* A failure. `status` is a ty_status number; strings are released by engine->free_string. */
typedef struct ty_engine_error {
  int32_t status;
  char *message;
  char *code; /* "data", "weights", "nan_loss", "out_of_memory", "engine", ...; becomes the run's error code. May be
                 NULL. */
} ty_engine_error;

/* What should_stop answers. */
#define TY_ENGINE_GO_ON 0
#define TY_ENGINE_STOP 1  /* finish this step, evaluate, keep the best, return */
#define TY_ENGINE_LEAVE 2 /* write a checkpoint and return at once: TY_ERR_CANCELED, code "left" */

/* What a training rank gives the engine. All pointers stay valid during train(). */
typedef struct ty_engine_host {
  void *user;
  const char *output_directory;     /* model.safetensors, model.json and all else that is kept go here; exists */
  const char *checkpoint_directory; /* exists; a checkpoint found here is what "resume" continues from */
  const char
      *weights_path; /* the weights as a local file (downloads and registered models are resolved by the host), or "" */
  /* Several ranks each call train(), with the same settings and directories; rank 0 writes and tells metrics. */
  int32_t rank, world_size;
  int32_t local_rank, local_world_size; /* among the ranks of this machine */
  void (*metric)(void *user, const char *name, int64_t step, double value);
  void (*progress)(void *user, const char *json);
  void (*log)(void *user, int32_t level, const char *message); /* TY_LOG_... */
  int32_t (*should_stop)(void *user);                          /* one of TY_ENGINE_GO_ON, ... */
} ty_engine_host;

typedef struct ty_engine_predictor ty_engine_predictor;
typedef struct ty_engine_prediction ty_engine_prediction;
typedef struct ty_engine_trainer ty_engine_trainer;

/* One image's answer: `count` classes, best first. Arrays belong to the prediction. */
typedef struct ty_engine_prediction_item {
  const char *path;
  const char *error; /* NULL when the image could be read */
  int32_t status;    /* the error's ty_status number, or 0 */
  int32_t count;
  const int32_t *classes;
  const double *probabilities;
} ty_engine_prediction_item;

/* What next_batch and on_epoch of a fit answer. */
#define TY_ENGINE_FIT_GO_ON 0
#define TY_ENGINE_FIT_END 1  /* next_batch: of the phase; on_epoch: of the fit */
#define TY_ENGINE_FIT_FAIL 2 /* the host keeps why: the fit answers TY_ERR_CANCELED, code "callback" */

/* Of a fit (trainyard/train.h, ty_trainer_fit, whose numbers and meanings these are). */
typedef struct ty_engine_fit_epoch {
  int32_t is_best;
  int64_t epoch, epochs, steps, skipped_steps;
  double train_loss, train_accuracy, validation_loss, validation_accuracy, learning_rate, seconds;
} ty_engine_fit_epoch;
typedef struct ty_engine_fit_summary {
  int32_t ending;
  int64_t epochs, steps, skipped_steps, best_epoch;
  double best_validation_loss;
} ty_engine_fit_summary;
typedef struct ty_engine_fit_host {
  void *user;
  int32_t (*next_batch)(void *user, int32_t phase, int64_t epoch, int64_t step, const DLTensor **out_inputs,
                        const DLTensor **out_targets);
  int32_t (*on_epoch)(void *user, const ty_engine_fit_epoch *epoch);
} ty_engine_fit_host;
#define TY_ENGINE_FIT_TRAIN 0
#define TY_ENGINE_FIT_VALIDATION 1
#define TY_ENGINE_FIT_DONE 0
#define TY_ENGINE_FIT_EARLY_STOP 1
#define TY_ENGINE_FIT_STOPPED 2

/* Every function that returns int32_t answers 0 or a ty_status number with *error filled. */
typedef struct ty_engine {
  uint32_t abi_version;   /* TY_ENGINE_ABI_VERSION */
  uint32_t struct_size;   /* sizeof(ty_engine) */
  const char *build_id;   /* BuildId() of this build */
  const char *name;       /* "torch" */
  const char *built_with; /* "LibTorch 2.11.0" */

  void (*free_string)(char *string);

  /* Called once after loading, before all else. own_libtorch: this library loaded LibTorch itself, so LibTorch-wide
   * settings (allocator, threads) may be changed. */
  int32_t (*initialise)(int32_t own_libtorch, int32_t has_cuda, ty_engine_error *error);

  /* Counts what a training job would use; reads every image when check_images is not 0.
     report: the "train" object of ty_job_validate plus "problems" and "warnings" arrays. */
  int32_t (*validate)(const char *config_json, const char *weights_path, int32_t check_images, char **out_report_json,
                      ty_engine_error *error);

  /* Runs a whole training job. config_json: nested (core/train_config_table.cc). */
  int32_t (*train)(const char *config_json, const ty_engine_host *host, ty_engine_error *error);

  /* path: a model's directory or its model.json, a weight file of a native model, or a TorchScript archive. */
  int32_t (*predictor_open)(const char *path, const char *device, ty_engine_predictor **out, ty_engine_error *error);
  int32_t (*predictor_class_count)(const ty_engine_predictor *predictor);
  const char *(*predictor_class_name)(const ty_engine_predictor *predictor, int32_t index);
  int32_t (*predictor_image_files)(const ty_engine_predictor *predictor, const char *const *paths, size_t count,
                                   int32_t top_k, ty_engine_prediction **out, ty_engine_error *error);
  int32_t (*predictor_folder)(const ty_engine_predictor *predictor, const char *directory, int32_t top_k,
                              ty_engine_prediction **out, ty_engine_error *error);
  int32_t (*predictor_tensor)(const ty_engine_predictor *predictor, const DLTensor *input, float *output, size_t count,
                              ty_engine_error *error);
  void (*predictor_free)(ty_engine_predictor *predictor);

  /* A model that learns from the host's memory (trainyard/train.h, ty_trainer). Any thread; calls wait for each other.
   * out_loss and out_accuracy may be NULL. */
  int32_t (*trainer_new)(const char *config_json, const char *weights_path, ty_engine_trainer **out,
                         ty_engine_error *error);
  int32_t (*trainer_step)(ty_engine_trainer *trainer, const DLTensor *inputs, const DLTensor *targets, double *out_loss,
                          ty_engine_error *error);
  int32_t (*trainer_evaluate)(ty_engine_trainer *trainer, const DLTensor *inputs, const DLTensor *targets,
                              double *out_loss, double *out_accuracy, ty_engine_error *error);
  int32_t (*trainer_predict)(ty_engine_trainer *trainer, const DLTensor *inputs, float *outputs, size_t count,
                             ty_engine_error *error);
  int32_t (*trainer_end_epoch)(ty_engine_trainer *trainer, double validation_loss, ty_engine_error *error);
  int32_t (*trainer_save)(ty_engine_trainer *trainer, const char *path, ty_engine_error *error);
  int32_t (*trainer_load)(ty_engine_trainer *trainer, const char *path, ty_engine_error *error);
  int32_t (*trainer_save_weights)(ty_engine_trainer *trainer, const char *path, ty_engine_error *error);
  void (*trainer_free)(ty_engine_trainer *trainer);
  /* The callbacks run on the caller's thread, with no lock held. */
  int32_t (*trainer_fit)(ty_engine_trainer *trainer, const ty_engine_fit_host *host, ty_engine_fit_summary *out_summary,
                         ty_engine_error *error);
  /* Any thread, also a signal handler. */
  void (*trainer_request_stop)(ty_engine_trainer *trainer);

  size_t (*prediction_size)(const ty_engine_prediction *prediction);
  void (*prediction_item)(const ty_engine_prediction *prediction, size_t index, ty_engine_prediction_item *out);
  void (*prediction_free)(ty_engine_prediction *prediction);

  /* Writes a model in another form, in place of out_path or not at all. model_path: a model's directory, its model.json
   * or a weight file. format: "state_dict" (torch.load), "safetensors", "torchscript" (of a model that came as such),
   * "checkpoint" (a checkpoint of a training job as a dict for torch.load). */
  int32_t (*export_weights)(const char *model_path, const char *format, const char *out_path, ty_engine_error *error);

  /* Writes a model as an ONNX file (engine_torch/export). options_json: an object, or NULL for the defaults. */
  int32_t (*export_onnx)(const char *model_path, const char *options_json, const char *out_path,
                         ty_engine_error *error);
} ty_engine;

/* The one symbol that the plug-in exports, as TY_ENGINE_ENTRY_NAME. */
typedef const ty_engine *(*ty_engine_entry)(void);

#ifdef __cplusplus
}
#endif

#endif /* TRAINYARD_ENGINE_ENGINE_H_ */
