// What a model tells of an image. Thread rule: values and functions.
#pragma once

#include <string_view>

namespace trainyard {

enum class Task {
  kClassification,  // one of the classes: logits, of which softmax makes probabilities
  kMultilabel,      // which of the classes, any number of them: a logit each, of which sigmoid makes probabilities
  kRegression,      // a number
};

// As model.json and ONNX files call it.
constexpr std::string_view ModelTask(Task task) {
  switch (task) {
    case Task::kClassification:
      break;
    case Task::kMultilabel:
      return "image_multilabel";
    case Task::kRegression:
      return "image_regression";
  }
  return "image_classification";
}

}  // namespace trainyard
