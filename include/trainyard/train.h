/*
 * trainyard/train.h: the settings of a training job. ty_train_config_describe lists every key with type, default,
 * range and meaning.
 *
 * Most used: data.directory; model.architecture (resnet18, below), model.weights (a .safetensors or .pth file,
 * https://...#<sha256>, model:NAME[:VERSION]; empty: random), model.mode (finetune, feature); train.epochs (25),
 * train.batch_size (4), train.seed (0); optimizer.lr (0.001), optimizer.momentum (0.9); schedule.step_size (7),
 * schedule.gamma (0.1); device (auto).
 *
 * Architectures: squeezenet1_0, squeezenet1_1, resnet18, resnet34, resnet50, resnet101, densenet121, vgg16_bn,
 * mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large, efficientnet_b0, convnext_tiny, vit_b_16. Each is torchvision's
 * network of that name: the same parameter names, so that its weights load by name, the same initial weights from the
 * same seed, the same results. vit_b_16 takes images of 224 x 224 pixels only (transform.crop).
 *
 * What a training run tells: the metrics train/loss, train/accuracy, val/loss, val/accuracy, learning_rate,
 * epoch_seconds and images_per_second with the epoch (from 1) as step; train/loss_step; at the end
 * best_val_accuracy, best_epoch and, when there were any, bad_images. Progress events: {"epoch", "epochs", "step",
 * "steps", "phase", "loss", "accuracy", "images_per_second", "time_left_ms"}. What it leaves:
 * outputs/model.safetensors and outputs/model.json of the best epoch, and outputs/checkpoints/ to go on from.
 *
 * Threads: one thread at a time, except for calls that take `const ty_train_config *`.
 */
#ifndef TRAINYARD_TRAIN_H_
#define TRAINYARD_TRAIN_H_

#include <trainyard/common.h>
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

TY_EXTERN_C_END

#endif /* TRAINYARD_TRAIN_H_ */
