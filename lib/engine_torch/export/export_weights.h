// Trained models as files for other programs. Thread rule: free functions, may run concurrently.
//
// `model_path` is the directory of a model, its model.json, or any weight file that OpenWeights() reads. `out_path` is
// written, synced, in place of what is there or not at all. Throws kNotFound, kCorrupt, kUnsupported (a model that does
// not come in this form), kIo, kNoSpace, kPermission.
#pragma once

#include <string>

namespace trainyard {

// What Python reads by model.load_state_dict(torch.load(out_path)); types, strides and shared storages are kept.
void ExportStateDict(const std::string &model_path, const std::string &out_path);

// A safetensors file; types are kept.
void ExportSafetensors(const std::string &model_path, const std::string &out_path);

// What torch.jit.load reads, of a model that came as TorchScript.
void ExportTorchScript(const std::string &model_path, const std::string &out_path);

// A training job's checkpoint file as a dict for torch.load: 'epoch', 'global_step', 'best_epoch',
// 'best_val_accuracy', 'architecture', 'classes', 'mode', 'seed', 'batch_size', and the dicts of tensors 'model',
// 'optimizer' ("momentum.conv1.weight": the state's name, then the parameter's), 'average' (of train.ema_decay) and
// 'best' (what training changed, after the best epoch); None where there is nothing.
void ExportCheckpoint(const std::string &checkpoint_path, const std::string &out_path);

// One of the above by name: "state_dict", "safetensors", "torchscript", "checkpoint". Throws kInvalidArgument for
// another.
void ExportWeights(const std::string &model_path, const std::string &format, const std::string &out_path);

}  // namespace trainyard
