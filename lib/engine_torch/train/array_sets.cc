#include "engine_torch/train/array_sets.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine_torch/train/array_dataset.h"
#include "engine_torch/train/array_file.h"
#include "engine_torch/train/array_values.h"
#include "engine_torch/train/failure.h"
#include "engine_torch/train/new_model.h"
#include "engine_torch/train/strata.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr const char *kKey = "data.arrays";
constexpr size_t kMostNames = 20;  // that an error lists

// What is wrong with one array of the file.
[[noreturn]] void Fail(const ArrayFile &file, const std::string &name, const std::string &what) {
  throw Error::InvalidArgument(file.Where(name) + " " + what, {{"path", file.path}, {"tensor", name}, {"key", kKey}});
}

std::string Describe(const NamedTensor &array) {
  return std::string(NameOf(array.dtype)) + " " + ShapeText(array.shape);
}

// Values that one sample has.
size_t Columns(const NamedTensor &array) {
  return static_cast<size_t>(array.ElementCount() / array.shape[0]);
}

// The arrays of one part of the data, and what its targets hold.
struct Part {
  std::string prefix;
  const NamedTensor *inputs = nullptr, *targets = nullptr;
  int64_t greatest = 0;  // class
};

void CheckInputs(const ArrayFile &file, const Part &part) {
  const std::string name = part.prefix + kInputsName;
  const std::vector<int64_t> &shape = part.inputs->shape;
  if (shape.size() < 2 || part.inputs->ElementCount() == 0) {
    Fail(file, name,
         "is " + Describe(*part.inputs) + ", and inputs are [samples, values] or of more dimensions: reshape it");
  }
  if (part.targets->shape[0] == shape[0]) return;
  Fail(file, name,
       "has " + std::to_string(shape[0]) + " samples, and " + file.Where(part.prefix + kTargetsName) + " has " +
           std::to_string(part.targets->shape[0]) + ": each sample has one of both");
}

void CheckTargetShape(const ArrayFile &file, const Part &part, Task task) {
  const std::string name = part.prefix + kTargetsName;
  const NamedTensor &targets = *part.targets;
  const bool one = targets.shape.size() == 1 || (targets.shape.size() == 2 && targets.shape[1] == 1);
  if (task == Task::kClassification) {
    if (IsFloating(targets.dtype)) {
      Fail(file, name,
           "is " + Describe(targets) +
               ", and classes are integers: convert it to int64, or set task regression (or multilabel)");
    }
    if (!one) {
      Fail(file, name,
           "is " + Describe(targets) +
               ", and each sample has one class, [samples]: take its argmax, or set task multilabel");
    }
  } else if (targets.shape.size() > 2 || targets.ElementCount() == 0) {
    Fail(file, name, "is " + Describe(targets) + ", and targets are [samples] or [samples, outputs]: reshape it");
  }
}

// The first value that is not what the task wants is named.
void CheckTargetValues(const ArrayFile &file, Task task, Part *part) {
  const NamedTensor &targets = *part->targets;
  const std::string name = part->prefix + kTargetsName;
  const auto fail = [&](size_t index, const std::string &what) {
    const size_t columns = Columns(targets);
    const std::string place =
        std::to_string(index / columns) + (columns > 1 ? ", " + std::to_string(index % columns) : std::string());
    Fail(file, name, "has " + FormatDouble(NumberAt(targets, index)) + " at [" + place + "]: " + what);
  };
  const auto count = static_cast<size_t>(targets.ElementCount());
  for (size_t i = 0; i < count; ++i) {
    if (task == Task::kClassification) {
      const int64_t value = IntegerAt(targets, i);
      if (value < 0) fail(i, "classes are numbers from 0 on");
      part->greatest = std::max(part->greatest, value);
      continue;
    }
    const double value = NumberAt(targets, i);
    if (task == Task::kMultilabel && !(value >= 0 && value <= 1)) {
      fail(i, "a sample has a label (1) or not (0), or between them");
    }
    if (!(std::abs(value) <= std::numeric_limits<float>::max())) {
      fail(i, "what is learnt must be finite numbers (float32)");
    }
  }
}

Part OpenPart(const ArrayFile &file, const std::string &prefix, Task task) {
  Part part;
  part.prefix = prefix;
  part.inputs = file.Find(prefix + kInputsName);
  part.targets = file.Find(prefix + kTargetsName);
  CheckInputs(file, part);
  CheckTargetShape(file, part, task);
  CheckTargetValues(file, task, &part);
  return part;
}

// Nothing where the file has none of the two.
std::optional<Part> OpenValidation(const ArrayFile &file, const Part &train, const TrainSettings &settings) {
  const std::string before = kValidationPrefix, inputs = before + kInputsName, targets = before + kTargetsName;
  for (const auto &[there, missing] : {std::pair(inputs, targets), std::pair(targets, inputs)}) {
    if (file.Find(there) != nullptr && file.Find(missing) == nullptr) {
      Fail(file, there, "is there, and " + file.Where(missing) + " is not: add it");
    }
  }
  const bool there = file.Find(inputs) != nullptr;
  if (!there && settings.validation_fraction == 0) {
    throw Error::InvalidArgument("'" + file.path + "' has no samples to validate with: add " + inputs + " and " +
                                     targets + ", or set data.validation_fraction",
                                 {{"path", file.path}, {"key", "data.validation_fraction"}});
  }
  if (!there) return std::nullopt;
  if (settings.validation_fraction > 0) {
    Fail(file, inputs,
         "has the validation samples, and 'data.validation_fraction' would take training samples: set it to 0, or "
         "leave those arrays out");
  }
  Part part = OpenPart(file, before, settings.task);
  for (const auto &[name, mine, other] :
       {std::tuple(inputs, part.inputs, train.inputs), std::tuple(targets, part.targets, train.targets)}) {
    const bool shapes = Columns(*mine) == Columns(*other) && std::equal(mine->shape.begin() + 1, mine->shape.end(),
                                                                        other->shape.begin() + 1, other->shape.end());
    // Bytes may be images, which other types are not.
    const bool bytes = (mine->dtype == DType::kUInt8) == (other->dtype == DType::kUInt8);
    if (shapes && (bytes || name == targets)) continue;
    Fail(file, name,
         "is " + Describe(*mine) + ", and that of training " + Describe(*other) +
             ": samples must be of the same shape and kind");
  }
  return part;
}

std::vector<std::string> NamesOf(const ArrayFile &file, const TrainSettings &settings, const Part &train,
                                 int64_t greatest) {
  const bool classes = settings.task == Task::kClassification;
  const size_t wanted = classes ? static_cast<size_t>(greatest) + 1 : Columns(*train.targets);
  if (!file.classes.empty()) {
    // Of classes the last ones may be without a sample; that is told when training samples are counted.
    const size_t names = file.classes.size();
    if (classes ? names >= wanted : names == wanted) return file.classes;
    throw Error::InvalidArgument("'" + file.path + "' names " + std::to_string(names) + " classes, and " +
                                     file.Where(kTargetsName) + " has " + std::to_string(wanted) +
                                     ": give each a name, or none",
                                 {{"path", file.path}, {"key", kKey}});
  }
  // Each class has a training sample, so there are no more of them: what lies beyond is no class.
  if (classes && greatest >= train.inputs->shape[0]) {
    Fail(file, kTargetsName,
         "has the class " + std::to_string(greatest) + ", and there are only " +
             std::to_string(train.inputs->shape[0]) + " training samples: number the classes from 0 without gaps");
  }
  if (settings.task == Task::kRegression && wanted == 1) return {"value"};
  std::vector<std::string> names;
  for (size_t i = 0; i < wanted; ++i) names.push_back(std::to_string(i));
  return names;
}

ArrayFormat FormatOf(const TrainSettings &settings, const Part &train, std::vector<std::string> names) {
  ArrayFormat format;
  format.task = settings.task;
  format.classes = std::move(names);
  format.sample_shape.assign(train.inputs->shape.begin() + 1, train.inputs->shape.end());
  const bool images = format.sample_shape.size() == 3 && format.sample_shape[0] == 3;
  if (settings.architecture == "mlp") {
    format.sample_shape = {static_cast<int64_t>(Columns(*train.inputs))};
  } else if (images && !IsOfLayers(settings) && train.inputs->dtype == DType::kUInt8) {
    auto &table = format.bytes.emplace();
    for (size_t c = 0; c < 3; ++c) {
      for (size_t value = 0; value < 256; ++value) {
        table[c][value] = (static_cast<float>(value) / 255.0f - settings.mean[c]) / settings.std[c];
      }
    }
  }
  return format;
}

// train/strata.h, of the samples of a set.
std::vector<size_t> StrataOf(const Dataset &dataset, Task task) {
  std::vector<size_t> strata(dataset.size());
  if (task == Task::kRegression) return strata;
  const std::vector<int64_t> counts = dataset.ClassCounts();
  for (size_t i = 0; i < strata.size(); ++i) {
    if (task == Task::kClassification) {
      strata[i] = static_cast<size_t>(dataset.ClassOf(i));
      continue;
    }
    std::vector<int32_t> labels;
    for (size_t label = 0; label < counts.size(); ++label) {
      if (dataset.TruthOf(i, label) > 0.5) labels.push_back(static_cast<int32_t>(label));
    }
    strata[i] = StratumOfLabels(labels, counts);
  }
  return strata;
}

// Rows to learn from and rows to validate with.
std::pair<std::vector<size_t>, std::vector<size_t>> SetRowsApart(const ArrayFile &file, const TrainSettings &settings,
                                                                 const Dataset &all) {
  const std::vector<bool> taken = ChooseApart(settings.validation_fraction, settings.seed, StrataOf(all, settings.task),
                                              [](size_t sample) { return std::to_string(sample); });
  std::pair<std::vector<size_t>, std::vector<size_t>> rows;
  for (size_t i = 0; i < taken.size(); ++i) (taken[i] ? rows.second : rows.first).push_back(i);
  if (!rows.second.empty()) return rows;
  throw Error::InvalidArgument("'" + file.path +
                                   "': no class has two samples: none can be set apart to validate with "
                                   "(data.validation_fraction)",
                               {{"path", file.path}, {"key", "data.validation_fraction"}});
}

void CheckEveryClassIsLearnt(const ArrayFile &file, const Dataset &train, Task task) {
  if (task == Task::kRegression) return;
  const std::vector<int64_t> counts = train.ClassCounts();
  std::vector<std::string> without;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) without.push_back(train.classes()[i]);
  }
  if (without.empty()) return;
  const size_t more = without.size() - std::min(without.size(), kMostNames);
  without.resize(without.size() - more);
  Fail(file, kTargetsName,
       "has no training sample of " + Join(without, ", ") + (more > 0 ? " and " + std::to_string(more) + " more" : "") +
           (task == Task::kClassification ? ": number the classes from 0 without gaps, or add samples"
                                          : ": leave the column out, or add samples"));
}

// Of the training samples, as data.sampling wants them.
void ReadWeights(const ArrayFile &file, const TrainSettings &settings, const std::vector<size_t> *rows,
                 DataSets *sets) {
  const NamedTensor *array = file.Find(kWeightsName);
  if (array != nullptr && (array->ElementCount() != file.Find(kInputsName)->shape[0] || array->shape.size() > 2)) {
    Fail(file, kWeightsName,
         "is " + Describe(*array) + ", and there are " + std::to_string(file.Find(kInputsName)->shape[0]) +
             " samples: each has one weight, [samples]");
  }
  if (settings.sampling != Sampling::kWeighted) {
    if (array != nullptr) {
      sets->notes.push_back(file.Where(kWeightsName) + " is ignored: it is for data.sampling weighted");
    }
    return;
  }
  if (array == nullptr && settings.task == Task::kRegression) {
    throw Error::InvalidArgument(
        "setting 'data.sampling' is weighted, and the samples have no classes to weigh: give '" + file.path +
            "' the array weights",
        {{"path", file.path}, {"key", "data.sampling"}});
  }
  if (array == nullptr) {
    sets->weights = EqualisingWeights(StrataOf(*sets->train, settings.task), sets->train->ClassCounts());
    return;
  }
  for (size_t i = 0; i < sets->train->size(); ++i) {
    const size_t row = rows == nullptr ? i : (*rows)[i];
    const double weight = NumberAt(*array, row);
    if (!(weight >= 0 && std::isfinite(weight))) {
      Fail(file, kWeightsName,
           "has " + FormatDouble(weight) + " at [" + std::to_string(row) + "]: weights are numbers of 0 or more");
    }
    sets->weights.push_back(weight);
  }
  CheckSumOfWeights(sets->weights, file.Where(kWeightsName));
}

DataSets Open(const TrainSettings &settings) {
  const auto file = std::make_shared<const ArrayFile>(OpenArrayFile(settings.arrays));
  const Part train = OpenPart(*file, "", settings.task);
  const std::optional<Part> validation = OpenValidation(*file, train, settings);
  const int64_t greatest = std::max(train.greatest, validation ? validation->greatest : 0);
  const ArrayFormat format = FormatOf(settings, train, NamesOf(*file, settings, train, greatest));
  DataSets sets;
  sets.notes = file->notes;
  sets.train = std::make_unique<ArrayDataset>(file, "", std::nullopt, format);
  std::optional<std::vector<size_t>> train_rows;
  if (validation) {
    sets.validation = std::make_unique<ArrayDataset>(file, kValidationPrefix, std::nullopt, format);
  } else {
    auto [kept, taken] = SetRowsApart(*file, settings, *sets.train);
    train_rows = kept;
    sets.train = std::make_unique<ArrayDataset>(file, "", std::move(kept), format);
    sets.validation = std::make_unique<ArrayDataset>(file, "", std::move(taken), format);
  }
  CheckEveryClassIsLearnt(*file, *sets.train, settings.task);
  ReadWeights(*file, settings, train_rows ? &*train_rows : nullptr, &sets);
  return sets;
}

}  // namespace

DataSets OpenArrays(const TrainSettings &settings) {
  return CodeFailures("data", [&] { return Open(settings); });
}

}  // namespace trainyard
