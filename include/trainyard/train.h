/*
 * trainyard/train.h: the settings of a training job, and a trainer for this process. ty_train_config_describe lists
 * every key with type, default, range and meaning.
 *
 * Most used: data.directory (or data.manifest, data.arrays); model.architecture (resnet18, below), model.weights (a
 * .safetensors or .pth file, https://...#<sha256>, model:NAME[:VERSION]; empty: random), model.mode (finetune,
 * feature); train.epochs (25), train.batch_size (4), train.seed (0); optimizer.lr (0.001), optimizer.momentum (0.9);
 * schedule.step_size (7), schedule.gamma (0.1); device (auto).
 *
 * Images come from folders of classes (data.directory, or data.train_directory and data.validation_directory), or from
 * a manifest, data.manifest: a CSV file (RFC 4180, with a header) or JSON lines (.jsonl), UTF-8, with `path` (absolute,
 * or relative to the manifest's directory), `label` (or `labels`) and if wanted `split` (train, val or validation,
 * test; all rows or none) and `weight`. (As an input of the job, give the directory that it is in, and name it below:
 * ${{inputs.NAME}}/list.csv.) Each path is there once; images that are not there are treated as bad images. Classes and
 * labels are all names of the rows to train on and to validate with, sorted as bytes; each has a training image. What
 * cannot be read is an error that names the line and the column.
 * Without images to validate with, data.validation_fraction sets a share of each class apart: the images of a class in
 * the order of SHA-256("<train.seed>\n<path below the folder or the manifest's directory>"), the first floor(n *
 * fraction + 0.5) of n, but at least 1 and at most n - 1. data.sampling weighted draws the images of an epoch with
 * replacement, as torch's WeightedRandomSampler does (as many as there are, by their weights; without weights such that
 * classes come equally often); like all that is random it is derived from train.seed and the epoch.
 *
 * Arrays (data.arrays), in the place of images: what a simulation computed or a sensor measured. Either a .safetensors
 * file with the tensors `inputs` and `targets`, and if wanted `weights`, `validation_inputs`, `validation_targets`; or
 * a directory with the same as NumPy's inputs.npy, targets.npy and so on (numpy.save; C order, little-endian). The
 * files are mapped, not read into memory; leave them as they are while jobs run. n samples are
 *   inputs   [n, ...] of any floats or integers, taken as float32 as they are. One exception: uint8 [n, 3, height,
 *            width] are images for a network for images, which become (x / 255 - transform.mean) / transform.std
 *   targets  classification: [n] or [n, 1] integers, the classes from 0 without gaps; multilabel: [n, labels], 1 for
 *            what a sample has, 0 for what not; regression: [n] or [n, numbers], finite
 *   weights  [n], 0 or more, for data.sampling weighted
 * Classes, labels or several numbers are called "0", "1", ..., or as the safetensors metadata `classes` or the
 * directory's classes.json say, a JSON list of texts. Without validation arrays data.validation_fraction sets samples
 * apart by the rule above, where a sample's name is its index; samples with numbers are all of one class. A sample with
 * an input that is not finite is treated as a bad image. model.architecture mlp takes a sample's values as one row, and
 * model.inputs and model.outputs follow from the arrays; sequential takes samples as they are, and its last layer has
 * as many outputs as the targets ask for; networks for images take [3, height, width]. Not looked at: transform.* but
 * for mean and std, data.cache. data.arrays with images (data.directory, data.manifest, ...) is an error. In metrics
 * and progress events, images_per_second counts samples.
 *
 * Tasks (`task`): classification, by cross entropy: a label is a class. multilabel, by binary cross entropy: a label is
 * names with ';' between them, or a list, or empty; accuracy is the share of images with all labels right, and of
 * epochs with the same one the lowest val/loss is best. regression, by loss.name mse, l1 or huber: a label is a number,
 * best between about -1 and 1 (with arrays it may be several numbers); the best epoch is the one with the lowest
 * val/loss. The last two take manifests and arrays only.
 * What their models say: predict.h.
 *
 * Architectures: squeezenet1_0, squeezenet1_1, resnet18, resnet34, resnet50, resnet101, densenet121, vgg16_bn,
 * mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large, efficientnet_b0, convnext_tiny, vit_b_16. Each is torchvision's
 * network of that name: the same parameter names, so that its weights load by name, the same initial weights from the
 * same seed, the same results. vit_b_16 takes images of 224 x 224 pixels only (transform.crop).
 *
 * Images: evaluation and prediction resize the shorter side to transform.resize pixels and cut out the centre,
 * transform.crop pixels square. Training (transform.augment) draws, in this order and as torchvision's transforms of
 * these names: RandomResizedCrop (transform.scale_minimum and _maximum, .ratio_minimum and _maximum),
 * RandomHorizontalFlip (.horizontal_flip), RandomVerticalFlip (.vertical_flip), ColorJitter (.brightness, .contrast,
 * .saturation, .hue, themselves in an order that is drawn), RandomRotation (.rotation_degrees, .rotation_fill),
 * RandomGrayscale (.grayscale); then come ToTensor, Normalize (.mean, .std) and RandomErasing (.erasing, its scale and
 * ratio). Crop and horizontal flip are on, the others off. Given what is drawn, the pixels are torchvision's on Pillow
 * images, bit for bit; the draws depend on train.seed, epoch and image alone.
 *
 * Number formats (train.precision, names as in PyTorch): fp32; tf32 (GPUs; fp32 here means fp32, in convolutions too);
 * bf16 and fp16: the forward pass and the loss run under LibTorch's autocast, fp16 with a gradient scaler (torch.amp's
 * rule; its state is in checkpoints, steps that it leaves out are counted). Evaluation, and ty_trainer_evaluate and
 * ty_trainer_predict, compute in the same format; weights, checkpoints and models are float32, and a predictor opened
 * on them computes in fp32. CPUs do bf16 and fp16 too, most often slower than fp32.
 *
 * The same bits again: on a CPU always, for the same number of threads. On a GPU with train.deterministic, which wants
 * CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment (ty_job_set_variable) and has its price; without it cuDNN measures
 * and takes what is fastest. train.cuda_graphs (auto) records a step and repeats it where it can. data.cache gpu keeps
 * the training images on the GPU and crops and resizes them there: the same crops, pixels within one level of 255; a
 * transform that does more than crop and flip stays on the host.
 *
 * Several ranks (ty_job_set_distribution): a step is that of one process with the images of all, whose gradients are
 * added up while the backward pass is still at it. Rank by rank on the CPUs of one or more machines, by MPI, or on
 * GPUs, by NCCL: with device cuda each rank takes the GPU of its LOCAL_RANK, of those that the run was given; cuda:N is
 * for one process. Who writes what is the same on both. Steps are not recorded then (train.cuda_graphs). A rank that
 * dies ends the others within seconds, and the run names it.
 *
 * What a training run tells: the metrics train/loss, train/accuracy, val/loss, val/accuracy, learning_rate,
 * epoch_seconds and images_per_second with the epoch (from 1) as step; train/loss_step; at the end
 * best_val_accuracy, best_epoch, of that epoch val/balanced_accuracy, val/precision_macro, val/recall_macro,
 * val/f1_macro, val/roc_auc (of two classes), val/top3_accuracy and val/top5_accuracy (with more classes than that),
 * and, when there were any, bad_images; with train.precision fp16 loss_scale and overflowed_steps (so far). multilabel:
 * after each epoch val/f1_micro, val/f1_macro, val/average_precision_macro and val/roc_auc_macro too (the last two of
 * the labels that some images have and some have not), at the end best_val_loss, and none of those of the best epoch.
 * regression: val/rmse, val/mae and val/r2 after each epoch in the place of accuracies (of several numbers: the means
 * of each one's), and best_val_loss in the place of best_val_accuracy; "accuracy" is null. All as scikit-learn defines
 * them. Progress events: {"epoch", "epochs",
 * "step", "steps", "phase", "loss", "accuracy", "images_per_second", "time_left_ms"}. What it leaves:
 * outputs/model.safetensors and outputs/model.json of the best epoch, outputs/report.html (one file to look at: curves,
 * confusion matrix, labels or predicted against true numbers, worst mistakes, settings, times, machine), and
 * outputs/checkpoints/ to go on from.
 *
 * Threads: one thread at a time, except for calls that take `const ty_train_config *`; ty_trainer: any thread.
 */
#ifndef TRAINYARD_TRAIN_H_
#define TRAINYARD_TRAIN_H_

#include <trainyard/common.h>
#include <trainyard/dlpack.h>
#include <trainyard/error.h>

TY_EXTERN_C_BEGIN

typedef struct ty_train_config ty_train_config;

/**
 * @param out_config  [out] every setting at its default; free with ty_train_config_free
 * @param err         [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_new(ty_train_config **out_config, ty_error **err) TY_NOEXCEPT;

/**
 * Read settings from nested JSON, {"optimizer":{"lr":0.01}}; what is left out keeps its default. An unknown key is an
 * error that names it and the nearest known one.
 * @param json        the text
 * @param out_config  [out] free with ty_train_config_free
 * @param err         [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_from_json(const char *json, ty_train_config **out_config, ty_error **err) TY_NOEXCEPT;

/**
 * @param config    the settings
 * @param out_json  [out] nested JSON of all settings; free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_to_json(const ty_train_config *config, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * All settings as a JSON array of {"key","type","default","minimum","maximum","choices","doc"}.
 * @param out_json  [out] free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_describe(char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * Set a setting of type string.
 * @param config  the settings
 * @param key     dotted: "data.directory", "model.architecture", "model.weights", "model.mode", "device", ...
 * @param value   the value
 * @param err     [out, optional]; details: "key"
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_set_string(ty_train_config *config, const char *key, const char *value,
                                            ty_error **err) TY_NOEXCEPT;

/**
 * Set a setting of type integer (or number).
 * @param config  the settings
 * @param key     dotted: "train.epochs", "train.batch_size", "train.seed", "schedule.step_size", ...
 * @param value   the value
 * @param err     [out, optional]; details: "key"
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_set_int(ty_train_config *config, const char *key, int64_t value,
                                         ty_error **err) TY_NOEXCEPT;

/**
 * Set a setting of type number.
 * @param config  the settings
 * @param key     dotted: "optimizer.lr", "optimizer.momentum", "schedule.gamma", ...
 * @param value   the value
 * @param err     [out, optional]; details: "key"
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_set_double(ty_train_config *config, const char *key, double value,
                                            ty_error **err) TY_NOEXCEPT;

/**
 * Set a setting of type bool.
 * @param config  the settings
 * @param key     dotted
 * @param value   0 or 1
 * @param err     [out, optional]; details: "key"
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_set_bool(ty_train_config *config, const char *key, int32_t value,
                                          ty_error **err) TY_NOEXCEPT;

/**
 * Set a setting that is a list of numbers.
 * @param config  the settings
 * @param key     dotted: "transform.mean", "transform.std"
 * @param values  `count` numbers
 * @param count   how many
 * @param err     [out, optional]; details: "key"
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_train_config_set_doubles(ty_train_config *config, const char *key, const double *values,
                                             size_t count, ty_error **err) TY_NOEXCEPT;

/** @param config  the settings, or NULL @since 0.1 */
TY_API void ty_train_config_free(ty_train_config *config) TY_NOEXCEPT;

/*
 * A trainer learns in this process, from memory of the host: in a simulation's loop, from a stream of labels; step by
 * step (ty_trainer_step), or over epochs with what a callback gives (ty_trainer_fit). It needs no workspace and makes
 * no run. Tensors are DLPack's, read in place for the call: CPU memory, or CUDA's of the trainer's device; any strides
 * that are not negative. CUDA memory is read on the calling thread's current stream, the default one, also after a call
 * that does not wait: what writes to it next has to come after that.
 *
 * Settings that it uses: model.*, train.batch_size (not looked at: a step takes what it is given),
 * train.micro_batch_size, train.precision, train.cuda_graphs, train.deterministic, train.seed, train.clip_*,
 * train.fast_kernels, train.ema_decay, train.steps_per_epoch, train.epochs (the length of schedules and
 * of a fit), loss.*, optimizer.*, schedule.*, device, threads, and train.nan_policy skip; a fit also train.nan_policy
 * fail, train.early_stop_epochs and train.log_every_steps (on a GPU: how often it waits for the losses).
 *
 * train.precision tf32 and train.deterministic are LibTorch's process-wide settings: those of the trainer that was made
 * last count, and where the program has loaded LibTorch itself they are refused (TY_ERR_INVALID_STATE).
 *
 * Beside the networks for images, model.architecture may be one for arrays (in jobs too, with data.arrays), whose
 * settings are:
 *   mlp         model.inputs: values of one sample (no default; of a job, those of the arrays); model.outputs: values
 *               that come out (1; of a job, what the targets ask for); model.hidden:
 *               widths of the layers between ([256, 256]); model.activation: what follows each of them (relu;
 *               leaky_relu, elu, gelu, silu, tanh, sigmoid, softplus)
 *   sequential  model.inputs; model.layers: JSON text, a list of layers, the last one linear:
 *               {"type": "linear", "out": 256}, {"type": "dropout", "p": 0.5}, {"type": "batch_norm"}, "layer_norm",
 *               "flatten", and each activation above
 *
 * Threads: all calls on one trainer may come from any thread; they wait for each other. While a fit is under way,
 * ty_trainer_evaluate, _predict, _save, _save_weights and _request_stop work, also from its callbacks; _step,
 * _end_epoch, _load and another _fit are TY_ERR_INVALID_STATE. Trainers do not know of each other.
 */
typedef struct ty_trainer ty_trainer;

/**
 * Make a trainer with a new model. The first one in the process loads the engine and LibTorch.
 *
 * @param config        the settings, copied; e.g. model.architecture mlp, model.inputs 64, loss.name mse
 * @param weights_path  NULL, or a .safetensors or .pth file to start from
 * @param out_trainer   [out] free with ty_trainer_free
 * @param err           [out, optional]; details: "key" or "path"
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT (settings that do not fit together), TY_ERR_NOT_FOUND, TY_ERR_CORRUPT (the
 *         weights), TY_ERR_RUNTIME (no engine), TY_ERR_UNSUPPORTED (no such device), TY_ERR_OUT_OF_MEMORY
 * @since 0.1
 */
TY_API ty_status ty_trainer_new(const ty_train_config *config, const char *weights_path, ty_trainer **out_trainer,
                                ty_error **err) TY_NOEXCEPT;

/**
 * One step: the loss of the batch, its gradients, one change of the weights.
 *
 * @param trainer   the trainer
 * @param inputs    [n, ...], n at least 1: what the model takes ([n, model.inputs]; images: [n, 3, height, width],
 *                  normalised); float32, other types are converted
 * @param targets   cross_entropy: [n] integers, classes from 0; else floats of the outputs' shape
 * @param out_loss  [out, optional] the mean loss before the change. NULL on a GPU: the step is not waited for
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT (shapes that do not fit), TY_ERR_UNSUPPORTED (type, device or strides),
 *         TY_ERR_INVALID_STATE (a fit is under way), TY_ERR_OUT_OF_MEMORY, TY_ERR_ENGINE
 * @since 0.1
 */
TY_API ty_status ty_trainer_step(ty_trainer *trainer, const DLTensor *inputs, const DLTensor *targets, double *out_loss,
                                 ty_error **err) TY_NOEXCEPT;

/**
 * The loss of a batch, without learning from it (dropout off; with train.ema_decay: of the averaged weights).
 *
 * @param trainer       the trainer
 * @param inputs        as ty_trainer_step's
 * @param targets       as ty_trainer_step's
 * @param out_loss      [out, optional] the mean loss
 * @param out_accuracy  [out, optional] 0 to 1, the share of samples whose class (or labels, all) is right; NaN where
 *                      numbers are learnt
 * @param err           [out, optional]
 * @return as ty_trainer_step, but it works during a fit
 * @since 0.1
 */
TY_API ty_status ty_trainer_evaluate(ty_trainer *trainer, const DLTensor *inputs, const DLTensor *targets,
                                     double *out_loss, double *out_accuracy, ty_error **err) TY_NOEXCEPT;

/**
 * What the model answers, as it is (logits, not probabilities).
 *
 * @param trainer  the trainer
 * @param inputs   as ty_trainer_step's
 * @param outputs  [out] n rows of the model's outputs, in C order
 * @param count    floats that `outputs` has room for
 * @param err      [out, optional]
 * @return as ty_trainer_evaluate; TY_ERR_INVALID_ARGUMENT also when there is too little room
 * @since 0.1
 */
TY_API ty_status ty_trainer_predict(ty_trainer *trainer, const DLTensor *inputs, float *outputs, size_t count,
                                    ty_error **err) TY_NOEXCEPT;

/**
 * Schedules that change the rate by epochs go on.
 * @param trainer          the trainer
 * @param validation_loss  what schedule.name plateau looks at; NaN: nothing
 * @param err              [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (a fit is under way)
 * @since 0.1
 */
TY_API ty_status ty_trainer_end_epoch(ty_trainer *trainer, double validation_loss, ty_error **err) TY_NOEXCEPT;

/**
 * Write all that is needed to go on as if nothing had happened, whole or not at all.
 * @param trainer  the trainer
 * @param path     the file, replaced when it exists
 * @param err      [out, optional]; details: "path"
 * @return TY_OK, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_trainer_save(ty_trainer *trainer, const char *path, ty_error **err) TY_NOEXCEPT;

/**
 * Go on from what ty_trainer_save wrote, with the same settings. From what was written during or after a fit the
 * trainer has what it would have if the fit had been stopped there (ty_trainer_fit). On failure it stays as it was.
 * @param trainer  the trainer
 * @param path     the file
 * @param err      [out, optional]; details: "path"
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_CORRUPT, TY_ERR_VERSION, TY_ERR_INVALID_STATE (of another model or optimizer,
 * or a fit is under way)
 * @since 0.1
 */
TY_API ty_status ty_trainer_load(ty_trainer *trainer, const char *path, ty_error **err) TY_NOEXCEPT;

/**
 * Write the weights alone as .safetensors, whole or not at all; mlp and sequential have the names of Python's
 * torch.nn.Sequential.
 * @param trainer  the trainer
 * @param path     the file, replaced when it exists
 * @param err      [out, optional]; details: "path"
 * @return TY_OK, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_trainer_save_weights(ty_trainer *trainer, const char *path, ty_error **err) TY_NOEXCEPT;

/** What the batch is for: TY_FIT_TRAIN, TY_FIT_VALIDATION. */
typedef int32_t ty_fit_phase;
enum { TY_FIT_TRAIN = 0, TY_FIT_VALIDATION = 1 };

/**
 * Gives a fit its next batch. It runs on the thread that called ty_trainer_fit, with no lock held.
 *
 * @param phase        TY_FIT_TRAIN, or once these have ended TY_FIT_VALIDATION
 * @param epoch        from 1
 * @param step         of the phase, from 1; the first one of a fit that goes on in the middle of an epoch is the first
 *                     that is not done
 * @param out_inputs   [out] as ty_trainer_step's; borrowed until this callback is called again or the fit returns
 * @param out_targets  [out] the same
 * @param user_data    as given to ty_trainer_fit
 * @return TY_OK (a batch), TY_END (no more of this phase in this epoch; at once for TY_FIT_VALIDATION: this epoch is
 *         not validated), or a TY_ERR_..., with which the fit fails
 */
typedef ty_status (*ty_fit_next_batch)(ty_fit_phase phase, int64_t epoch, int64_t step, const DLTensor **out_inputs,
                                       const DLTensor **out_targets, void *user_data);

/** An epoch that is done. Losses and accuracies are means over samples; fields may be added at the end: `struct_size`
 * tells. */
typedef struct ty_fit_epoch {
  uint32_t struct_size;
  int32_t is_best;            /* 1: of all so far it has the lowest validation loss, or none was validated */
  int64_t epoch;              /* from 1 */
  int64_t epochs;             /* train.epochs */
  int64_t steps;              /* of this epoch */
  int64_t skipped_steps;      /* of them left out: train.nan_policy skip */
  double train_loss;          /* of the batches as they were learnt from */
  double train_accuracy;      /* 0 to 1; NaN where numbers are learnt */
  double validation_loss;     /* NaN: not validated. With train.ema_decay: of the averaged weights */
  double validation_accuracy; /* 0 to 1; NaN where numbers are learnt */
  double learning_rate;       /* of the last step */
  double seconds;             /* with what the callback took */
} ty_fit_epoch;

/**
 * Told after each epoch of a fit, on the thread that called ty_trainer_fit, with no lock held. The trainer has the
 * weights of this epoch here: what ty_trainer_save_weights writes if is_best is what a fit that ends now would leave,
 * and from what ty_trainer_save writes a fit goes on with the next epoch.
 *
 * @param epoch      borrowed for the call
 * @param user_data  as given to ty_trainer_fit
 * @return TY_OK, TY_END (the fit ends well), or a TY_ERR_..., with which it fails
 */
typedef ty_status (*ty_fit_on_epoch)(const ty_fit_epoch *epoch, void *user_data);

/** How a fit ended: after train.epochs; by train.early_stop_epochs; by a request, or because on_epoch said so. */
typedef int32_t ty_fit_ending;
enum { TY_FIT_DONE = 0, TY_FIT_EARLY_STOP = 1, TY_FIT_STOPPED = 2 };

/** What a fit did. Fields may be added at the end: `struct_size` tells. */
typedef struct ty_fit_summary {
  uint32_t struct_size;
  ty_fit_ending ending;
  int64_t epochs;              /* done, those before it went on among them */
  int64_t steps;               /* of this fit */
  int64_t skipped_steps;       /* of them left out: train.nan_policy skip */
  int64_t best_epoch;          /* whose weights the trainer has; 0: none was validated, and it has the last */
  double best_validation_loss; /* NaN: none was validated */
} ty_fit_summary;

/**
 * Learn over epochs, up to train.epochs, from what a callback gives: steps, then validation if there are batches for
 * it; after each epoch schedules go on (as by ty_trainer_end_epoch, plateau with the validation loss) and on_epoch is
 * told. It ends early after train.early_stop_epochs epochs without a lower validation loss, or on request.
 *
 * However it ends, the trainer then has the weights of the epoch with the lowest validation loss (as a training job's
 * model), or the last ones where none was validated: ty_trainer_predict, _evaluate and _save_weights use these. What
 * training goes on from is kept beside them: the next fit after one that was stopped or failed takes it up, step by
 * step as if nothing had happened, and ty_trainer_save writes it (also from a callback, in the middle of an epoch), for
 * ty_trainer_load and a fit elsewhere. A fit after one that was done, or that stopped early by itself, begins anew with
 * the weights that the trainer has and the optimizer as it is: epochs count from 1, schedules start again, and the best
 * is forgotten. So a tool that fits again whenever there are new labels needs nothing else. ty_trainer_step after a fit
 * learns on from the weights that the trainer has, and forgets the rest.
 *
 * Over ty_trainer_step it costs nothing; on a GPU the losses are read every train.log_every_steps steps. A loss that is
 * no finite number fails the fit, or is left out (train.nan_policy skip); rollback is refused, for there are no
 * checkpoints. schedule.warmup_steps needs train.steps_per_epoch.
 *
 * @param trainer      the trainer
 * @param next_batch   gives the batches
 * @param on_epoch     NULL, or told of each epoch
 * @param user_data    passed to both
 * @param destroy      NULL, or called with user_data before this returns
 * @param out_summary  [out, optional] what was done; borrowed from the trainer until its next fit
 * @param err          [out, optional]; details: "code" (callback, nan_loss, ...); where a callback failed "callback"
 *                     (next_batch or on_epoch), "epoch" and "step"
 * @return TY_OK (also when it was stopped), what a callback failed with (TY_ERR_INVALID_ARGUMENT for a number that is
 *         no status), TY_ERR_INVALID_ARGUMENT (settings, or a batch whose shapes do not fit, or an epoch without one),
 *         TY_ERR_INVALID_STATE (a fit is under way), TY_ERR_ENGINE (a loss that is no finite number); else as
 *         ty_trainer_step. Messages name epoch and step
 * @since 0.1
 */
TY_API ty_status ty_trainer_fit(ty_trainer *trainer, ty_fit_next_batch next_batch, ty_fit_on_epoch on_epoch,
                                void *user_data, ty_destroy destroy, const ty_fit_summary **out_summary,
                                ty_error **err) TY_NOEXCEPT;

/**
 * Ask the fit that is under way to end: after the step at hand it returns TY_OK with TY_FIT_STOPPED, without validating
 * the epoch. The request stands until a fit returns: one that is made while there is none ends the next one before its
 * first step, so that a stop cannot come too early. A next_batch that waits for data has to be woken up by the host;
 * what it answers then, TY_END or a batch, is fine. Any thread, callbacks and signal handlers.
 *
 * @param trainer  the trainer
 * @param err      [out, optional]; NULL in signal handlers
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_trainer_request_stop(ty_trainer *trainer, ty_error **err) TY_NOEXCEPT;

/** @param trainer  the trainer, or NULL @since 0.1 */
TY_API void ty_trainer_free(ty_trainer *trainer) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_TRAIN_H_ */
