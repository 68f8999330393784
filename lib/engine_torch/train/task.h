// What a model tells of an image, or of a sample of arrays. Thread rule: values and functions.
#pragma once

#include <string_view>

namespace trainyard {

enum class Task {
  kClassification,  // one of the classes: logits, of which softmax makes probabilities
  kMultilabel,      // which of the classes, any number of them: a logit each, of which sigmoid makes probabilities
  kRegression,      // a number, or several
};

// As model.json and ONNX files call it, of models for images or for arrays.
constexpr std::string_view ModelTask(Task task, bool arrays) {
  switch (task) {
    case Task::kClassification:
      break;
    case Task::kMultilabel:
      return arrays ? "array_multilabel" : "image_multilabel";
    case Task::kRegression:
      return arrays ? "array_regression" : "image_regression";
  }
  return arrays ? "array_classification" : "image_classification";
}

}  // namespace trainyard
