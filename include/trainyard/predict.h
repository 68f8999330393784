/*
 * trainyard/predict.h: use a trained model in this process. Loads the engine and LibTorch into the process on first
 * use and keeps them.
 *
 * Threads: all calls on one predictor may run concurrently; one warm predictor serves all threads.
 */
#ifndef TRAINYARD_PREDICT_H_
#define TRAINYARD_PREDICT_H_

#include <trainyard/common.h>
#include <trainyard/dlpack.h>
#include <trainyard/error.h>
#include <trainyard/model.h>

TY_EXTERN_C_BEGIN

/*
 * What a model says depends on the task that it was trained for (model.json, "task"):
 * - image_classification: of each class a probability (softmax); those of one image add up to 1;
 * - image_multilabel: of each label, which are its "classes" here, a probability of its own (sigmoid); an image has the
 *   labels above 0.5, and there may be none or several. Ask for all of them: top_k = class count;
 * - image_regression: one "class", called "value" unless model.json names it, whose "probability" is the number, of
 *   any size and sign;
 * - array_classification, array_multilabel, array_regression: the same of models that learnt from arrays (data.arrays,
 *   train.h), where a regression may have several numbers. They take tensors (ty_predictor_predict) and no image files.
 * Items list what is highest first, in each of them.
 */

typedef struct ty_predictor ty_predictor;

/** What the model said of one or more images. Immutable. */
typedef struct ty_prediction ty_prediction;

/**
 * Open a model that a training job wrote, or one from elsewhere: weights of an architecture that the library knows, or
 * a TorchScript archive of any image classifier. A model.json beside such a file gives its classes and preprocessing
 * ({"schema_version": 1, "task": "image_classification" (or the others above), "classes": [...], "preprocessing":
 * {"resize": 256, "crop": 224, "mean": [...], "std": [...]}}); without one the classes are called "0", "1", ... and
 * images are prepared as for ImageNet. A weight file executes nothing; the code of a TorchScript archive runs, so open
 * only what you trust.
 *
 * @param path           a directory with model.json and model.safetensors, or the path of either file; a .safetensors
 * file, or what torch.save wrote (a state dict, or a whole module of torchvision's classes); what torch.jit.save wrote,
 * which must map [n, 3, height, width] to logits, [n, classes]
 * @param device         "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1"; NULL: "auto"
 * @param out_predictor  [out] free with ty_predictor_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_CORRUPT, TY_ERR_UNSUPPORTED, TY_ERR_ENGINE, TY_ERR_RUNTIME
 * @since 0.1
 */
TY_API ty_status ty_predictor_open(const char *path, const char *device, ty_predictor **out_predictor,
                                   ty_error **err) TY_NOEXCEPT;

/**
 * Open a registered model.
 *
 * @param model          the model
 * @param device         see ty_predictor_open
 * @param out_predictor  [out] free with ty_predictor_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_CORRUPT, TY_ERR_UNSUPPORTED, TY_ERR_ENGINE, TY_ERR_RUNTIME
 * @since 0.1
 */
TY_API ty_status ty_predictor_open_model(const ty_model *model, const char *device, ty_predictor **out_predictor,
                                         ty_error **err) TY_NOEXCEPT;

/** @param predictor  the predictor, or NULL @return how many classes it tells apart @since 0.1 */
TY_API int32_t ty_predictor_class_count(const ty_predictor *predictor) TY_NOEXCEPT;

/**
 * @param predictor  the predictor
 * @param index      0 to class count - 1
 * @return the class's name, borrowed; NULL when there is none
 * @since 0.1
 */
TY_API const char *ty_predictor_class_name(const ty_predictor *predictor, int32_t index) TY_NOEXCEPT;

/**
 * Classify one image file (JPEG or PNG).
 *
 * @param predictor       the predictor
 * @param path            the file
 * @param top_k           how many classes, best first; more than there are gives all
 * @param out_prediction  [out] one item; free with ty_prediction_free
 * @param err             [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_CORRUPT (not a readable image), TY_ERR_UNSUPPORTED (another image format)
 * @since 0.1
 */
TY_API ty_status ty_predictor_predict_image_file(const ty_predictor *predictor, const char *path, int32_t top_k,
                                                 ty_prediction **out_prediction, ty_error **err) TY_NOEXCEPT;

/**
 * Classify every image file below a directory, in batches. An unreadable image is an item with an error.
 *
 * @param predictor       the predictor
 * @param directory       searched recursively; items come sorted by path
 * @param top_k           how many classes an item
 * @param out_prediction  [out] free with ty_prediction_free
 * @param err             [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_predictor_predict_folder(const ty_predictor *predictor, const char *directory, int32_t top_k,
                                             ty_prediction **out_prediction, ty_error **err) TY_NOEXCEPT;

/**
 * Run the model on a batch in memory.
 *
 * @param predictor  the predictor
 * @param input      float32 [n, 3, height, width], resized and normalised by the caller; or uint8 [n, height, width,
 * 3], RGB, which the library resizes, crops and normalises as the model wants it. Of a model that learnt from arrays:
 * [n, ...], samples of the shape and types that those arrays had (what was uint8 images may be uint8, or float32 that
 * the caller normalised). CPU or CUDA memory; read in place where the layout allows.
 * @param output     receives n x class count float32 values in row-major order: probabilities, or numbers (above)
 * @param count      room in `output`, in values; at least n x class count
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_UNSUPPORTED (type, shape or device)
 * @since 0.1
 */
TY_API ty_status ty_predictor_predict(const ty_predictor *predictor, const DLTensor *input, float *output, size_t count,
                                      ty_error **err) TY_NOEXCEPT;

/** @param predictor  the predictor, or NULL @since 0.1 */
TY_API void ty_predictor_free(ty_predictor *predictor) TY_NOEXCEPT;

/** @param prediction  the prediction, or NULL @return how many images @since 0.1 */
TY_API size_t ty_prediction_size(const ty_prediction *prediction) TY_NOEXCEPT;
/** @param prediction  the prediction @param item  0 to size - 1 @return the image's path, borrowed; NULL when there is
 * none @since 0.1 */
TY_API const char *ty_prediction_path(const ty_prediction *prediction, size_t item) TY_NOEXCEPT;
/** @param prediction  the prediction @param item  0 to size - 1 @return why the image could not be read, borrowed; NULL
 * when it could @since 0.1 */
TY_API const char *ty_prediction_error(const ty_prediction *prediction, size_t item) TY_NOEXCEPT;
/** @param prediction  the prediction @param item  0 to size - 1 @return how many classes this item lists; 0 for an
 * unreadable image @since 0.1 */
TY_API int32_t ty_prediction_class_count(const ty_prediction *prediction, size_t item) TY_NOEXCEPT;
/** @param prediction  the prediction @param item  0 to size - 1 @param place  0 = best @return the class's index; -1
 * when there is none @since 0.1 */
TY_API int32_t ty_prediction_class_index(const ty_prediction *prediction, size_t item, int32_t place) TY_NOEXCEPT;
/** @param prediction  the prediction @param item  0 to size - 1 @param place  0 = best @return the class's name,
 * borrowed; NULL when there is none @since 0.1 */
TY_API const char *ty_prediction_class_name(const ty_prediction *prediction, size_t item, int32_t place) TY_NOEXCEPT;
/** @param prediction  the prediction @param item  0 to size - 1 @param place  0 = best @return its probability, 0 to 1,
 * or the number of a regression; 0 when there is none @since 0.1 */
TY_API double ty_prediction_probability(const ty_prediction *prediction, size_t item, int32_t place) TY_NOEXCEPT;
/** @param prediction  the prediction, or NULL @since 0.1 */
TY_API void ty_prediction_free(ty_prediction *prediction) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_PREDICT_H_ */
