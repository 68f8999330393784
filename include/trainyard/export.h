/*
 * trainyard/export.h: write a trained model in a form that other programs run. Loads the engine and LibTorch into the
 * process on first use and keeps them; no Python takes part.
 *
 * Threads: exports may run concurrently.
 */
#ifndef TRAINYARD_EXPORT_H_
#define TRAINYARD_EXPORT_H_

#include <trainyard/common.h>
#include <trainyard/error.h>

TY_EXTERN_C_BEGIN

/**
 * Write a model as an ONNX file, for ONNX Runtime and all else that reads the format.
 *
 * The file is complete in itself, at most 2 GB, and replaces an older one whole or not at all. Weights keep their names
 * of PyTorch's state_dict. A classifier of this library gets the input "images" (one that learnt from arrays: "inputs",
 * of their shape) and the output "logits", "values" or "probabilities"; a TorchScript module "input" (or "images") and
 * "output", "output_1", ... What is known of the model lies in the file's metadata: "task", "architecture", "classes"
 * (a JSON list of names by index), "preprocessing" (the object of model.json, with "included": whether the file does it
 * itself).
 *
 * Options, each with its default:
 *   "opset"          17: the ONNX operator set, 13 to 20
 *   "dynamic_batch"  true: the file takes any number of items at once; false: "batch_size" of them
 *   "batch_size"     1: for "dynamic_batch": false alone
 *   "preprocessing"  false; true: the file takes uint8 [n, height, width, 3], RGB, resized and cropped by the caller,
 *                    and normalises it itself
 *   "softmax"        false; true: the file gives what ty_predictor does: probabilities, by softmax for classes and by
 * sigmoid for several labels (model.json, "task"); numbers stay as they are "input_shape"    [3, crop, crop] of
 * model.json, else [3, 224, 224]: one item's shape, without the batch "input_type"     "float32"; "float64", "float16",
 * "int64", "int32": for TorchScript "mean", "std"    those of model.json, else ImageNet's: 3 numbers each, for
 * "preprocessing" "classes"        those of model.json: names by index, for the metadata
 *
 * The model is run once or twice on made-up inputs, and the operators it runs are written down. TorchScript whose
 * operators depend on the values of the input is refused; what runs otherwise for another batch size needs
 * "dynamic_batch": false. An operator that cannot be exported is named, with its place in the model.
 *
 * @param model_path    a directory with model.json and model.safetensors, or either file, as a training job writes
 *                      them; weights of an architecture that the library knows (.safetensors, or what torch.save wrote:
 *                      a state dict, a checkpoint, a whole module); or what torch.jit.save wrote, a module of one
 *                      input. A model.json beside a file gives its classes and preprocessing. A TorchScript archive is
 *                      a program that runs in this process: give only those you trust
 * @param options_json  [optional] a JSON object with any of the options above; NULL: the defaults
 * @param out_path      the file to write, in a directory that exists
 * @param err           [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT (an unknown option, with the nearest; one that does not fit the model; weights
 *         that fit no model), TY_ERR_NOT_FOUND, TY_ERR_CORRUPT, TY_ERR_UNSUPPORTED (operator, opset, architecture,
 * size), TY_ERR_IO, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_OUT_OF_MEMORY, TY_ERR_ENGINE, TY_ERR_RUNTIME
 * @since 0.1
 */
TY_API ty_status ty_export_onnx(const char *model_path, const char *options_json, const char *out_path,
                                ty_error **err) TY_NOEXCEPT;

/**
 * Write a model's weights in another form.
 *
 * @param model_path  a directory with model.json and model.safetensors, or either file; a weight file (.safetensors, or
 *                    what torch.save wrote); for "torchscript" what torch.jit.save wrote; for "checkpoint" a file of a
 *                    training run's outputs/checkpoints
 * @param format      "state_dict": what Python reads with model.load_state_dict(torch.load(path)), also with
 *                    weights_only=True; "safetensors"; "torchscript": of a model that came as such; "checkpoint": a
 *                    dict for torch.load with the position, 'model', 'optimizer', 'average' and 'best'
 * @param out_path    the file to write, in a directory that exists; replaced whole or not at all
 * @param err         [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT (no such format, with the nearest), TY_ERR_NOT_FOUND, TY_ERR_CORRUPT,
 *         TY_ERR_UNSUPPORTED (a model that does not come in this form), TY_ERR_VERSION, TY_ERR_IO, TY_ERR_NO_SPACE,
 *         TY_ERR_PERMISSION, TY_ERR_OUT_OF_MEMORY, TY_ERR_ENGINE, TY_ERR_RUNTIME
 * @since 0.1
 */
TY_API ty_status ty_export_weights(const char *model_path, const char *format, const char *out_path,
                                   ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_EXPORT_H_ */
