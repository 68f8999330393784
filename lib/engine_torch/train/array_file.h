// The arrays that a job learns from (data.arrays), mapped: a .safetensors file, or a directory of .npy files. Thread
// rule: a value; immutable once opened.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

// The names that arrays have.
inline constexpr const char *kInputsName = "inputs";
inline constexpr const char *kTargetsName = "targets";
inline constexpr const char *kWeightsName = "weights";
inline constexpr const char *kValidationPrefix = "validation_";  // before inputs and targets

struct ArrayFile {
  std::string path;
  bool directory = false;
  std::map<std::string, NamedTensor> arrays;        // by name; each [samples, ...], contiguous
  std::vector<std::string> classes;                 // names of the outputs; empty: it gives none
  std::vector<std::string> notes;                   // for people: what was ignored
  std::vector<std::shared_ptr<const void>> owners;  // of what the arrays point into

  const NamedTensor *Find(const std::string &name) const;
  // For messages: "'/d/inputs.npy'", "tensor 'inputs' of '/d/a.safetensors'".
  std::string Where(const std::string &name) const;
};

// `path` is either
// - a .safetensors file with the tensors "inputs" and "targets", and if wanted "weights", "validation_inputs" and
//   "validation_targets"; its metadata may have "classes", a JSON list of names;
// - a directory with inputs.npy, targets.npy and so on (weights/npy.h), and if wanted classes.json, that list.
// Inputs and targets are there, and have samples; what it holds beside is a note. Throws kNotFound, kCorrupt,
// kUnsupported or kInvalidArgument, with what to do.
ArrayFile OpenArrayFile(const std::string &path);

}  // namespace trainyard
