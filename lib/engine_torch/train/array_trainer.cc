#include "engine_torch/train/array_trainer.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "engine_torch/interop/dlpack.h"
#include "engine_torch/models/load.h"
#include "engine_torch/train/allocator.h"
#include "engine_torch/train/device.h"
#include "engine_torch/train/failure.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/new_model.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/precision.h"
#include "engine_torch/train/sampler.h"
#include "engine_torch/train/threads.h"
#include "util/error.h"
#include "util/log.h"

namespace trainyard {
namespace {

// LibTorch's generator is one for the process: who seeds it and draws from it is alone.
std::mutex &Generator() {
  static std::mutex mutex;
  return mutex;
}

std::shared_ptr<ImageClassifier> SeededNetwork(const TrainSettings &settings) {
  const std::lock_guard alone(Generator());
  at::manual_seed(settings.seed);
  return MakeNetwork(settings, settings.inputs, settings.outputs);
}

}  // namespace

ArrayTrainer::ArrayTrainer(const std::string &config_json, const std::string &weights_path, bool own_libtorch)
    : settings_(ParseTrainerSettings(config_json)),
      device_(ChooseDevice(settings_.device)),
      threads_(!own_libtorch           ? 0
               : settings_.threads > 0 ? settings_.threads
                                       : AvailableCpus()),
      tally_(NewTally()) {
  SetNumerics(settings_, device_, own_libtorch);
  if (own_libtorch && device_.is_cpu()) InstallCachingAllocator();
  model_ = SeededNetwork(settings_);
  if (!weights_path.empty()) {
    CodeFailures("weights",
                 [&] { LoadWeights(model_.get(), OpenWeights(weights_path), {.allow_head_mismatch = true}); });
  }
  ToChannelsLast(model_.get());
  model_->to(device_);
  if (settings_.mode == TrainMode::kFeature) FreezeBackbone(model_.get());
  FreezeMatching(model_.get(), settings_.freeze);
  const auto input = settings_.mode == TrainMode::kFeature ? Learner::Input::kFrozenBackbone : Learner::Input::kImages;
  const std::vector<int64_t> classes(static_cast<size_t>(model_->num_classes()), 1);
  learner_ = std::make_unique<Learner>(model_, settings_, input, classes, [](int64_t samples) {
    Log(LogLevel::kWarning,
        "memory ran out: from now on " + std::to_string(samples) + " samples at once go through the model");
  });
  schedule_ = std::make_unique<Schedule>(settings_.schedule, settings_.optimizer.lr, FirstMomentum(settings_.optimizer),
                                         settings_.epochs, settings_.steps_per_epoch);
}

std::unique_lock<std::mutex> ArrayTrainer::Enter() {
  std::unique_lock lock(mutex_);
  // LibTorch keeps it per thread of the host.
  if (threads_ > 0) SetComputeThreads(threads_);
  return lock;
}

std::unique_lock<std::mutex> ArrayTrainer::EnterToChange() {
  std::unique_lock lock = Enter();
  if (fitting_) {
    throw Error::InvalidState(
        "a fit of this trainer is under way: until it returns, only evaluate, predict, save and request_stop work");
  }
  return lock;
}

at::Tensor ArrayTrainer::Input(const DLTensor &tensor) {
  at::Tensor view = ViewOfDlpack(tensor, "input");
  if (view.dim() < 2) {
    throw Error::InvalidArgument("the input must have 2 dimensions or more, samples first; got " +
                                 std::to_string(view.dim()));
  }
  const at::Tensor input = view.to(at::TensorOptions(device_).dtype(at::kFloat));
  CheckSamples(input);
  return input;
}

// Of a shape that has not been seen.
void ArrayTrainer::CheckSamples(const at::Tensor &input) {
  const std::vector<int64_t> shape = input.sizes().slice(1).vec();
  if (shape == sample_shape_ || input.size(0) == 0) return;
  CheckSample(model_.get(), settings_, input.narrow(0, 0, 1));
  sample_shape_ = shape;
}

at::Tensor ArrayTrainer::Target(const DLTensor &tensor) const {
  const at::Tensor view = ViewOfDlpack(tensor, "target");
  const bool classes = settings_.loss.kind == LossKind::kCrossEntropy;
  if (classes && at::isFloatingType(view.scalar_type())) {
    throw Error::InvalidArgument("the targets must be integers: loss.name cross_entropy learns classes");
  }
  // On a GPU a look at them would wait for it; LibTorch's own check is there.
  if (classes && view.is_cpu() && view.numel() > 0) {
    const auto [least, most] = at::aminmax(view);
    if (least.item<int64_t>() < 0 || most.item<int64_t>() >= model_->num_classes()) {
      throw Error::InvalidArgument("the targets go from " + std::to_string(least.item<int64_t>()) + " to " +
                                   std::to_string(most.item<int64_t>()) + ", and the model's classes from 0 to " +
                                   std::to_string(model_->num_classes() - 1));
    }
  }
  return view.to(at::TensorOptions(device_).dtype(classes ? at::kLong : at::kFloat));
}

Learner::Outcome ArrayTrainer::Learn(const DLTensor &inputs, const DLTensor &targets) {
  const at::Tensor input = Input(inputs), target = Target(targets);
  if (input.size(0) == 0) throw Error::InvalidArgument("the batch has no samples");
  if (!model_->is_training()) model_->train();
  std::unique_lock<std::mutex> alone_with_generator;
  if (learner_->draws()) alone_with_generator = std::unique_lock(Generator());
  Learner::Outcome outcome =
      learner_->Step(input, target, schedule_->At(epoch_, step_ + 1), StepSeed(settings_.seed, epoch_, step_ + 1));
  ++step_;
  return outcome;
}

void ArrayTrainer::Step(const DLTensor &inputs, const DLTensor &targets, double *loss) {
  const auto alone = EnterToChange();
  const Learner::Outcome outcome = Learn(inputs, targets);
  // From here on the weights that are in the model are what training goes on from, and the fit before is over.
  latest_.clear();
  best_ = {};
  if (loss != nullptr) *loss = outcome.loss.item<double>();
}

ArrayTrainer::Measured ArrayTrainer::Measure(const DLTensor &inputs, const DLTensor &targets) {
  const c10::NoGradGuard no_grad;
  const Autocast autocast(settings_.precision, device_.type());
  const at::Tensor input = Input(inputs), target = Target(targets);
  if (input.size(0) == 0) throw Error::InvalidArgument("the batch has no samples");
  const MovingAverage::InPlace average(&learner_->average());
  model_->eval();
  const at::Tensor outputs = model_->forward(input);
  const Loss &criterion = learner_->loss();
  return {criterion.Sum(outputs, target), criterion.Weight(target), criterion.Correct(outputs, target), input.size(0)};
}

bool ArrayTrainer::CountsRight() const {
  return settings_.loss.kind == LossKind::kCrossEntropy || settings_.loss.kind == LossKind::kBce;
}

void ArrayTrainer::Evaluate(const DLTensor &inputs, const DLTensor &targets, double *loss, double *accuracy) {
  const auto alone = Enter();
  const Measured measured = Measure(inputs, targets);
  if (loss != nullptr) *loss = measured.loss.item<double>() / measured.weight;
  if (accuracy != nullptr) {
    *accuracy = CountsRight()
                    ? static_cast<double>(measured.correct.item<int64_t>()) / static_cast<double>(measured.samples)
                    : std::numeric_limits<double>::quiet_NaN();
  }
}

void ArrayTrainer::Predict(const DLTensor &inputs, float *outputs, size_t count) {
  const auto alone = Enter();
  const c10::NoGradGuard no_grad;
  const Autocast autocast(settings_.precision, device_.type());
  const at::Tensor input = Input(inputs);
  const MovingAverage::InPlace average(&learner_->average());
  model_->eval();
  const at::Tensor result = model_->forward(input).to(c10::kCPU, at::kFloat).contiguous();
  if (count < static_cast<size_t>(result.numel())) {
    throw Error::InvalidArgument("the output has room for " + std::to_string(count) +
                                 " values, and the model answers " + std::to_string(result.numel()));
  }
  std::memcpy(outputs, result.const_data_ptr(), result.nbytes());
}

void ArrayTrainer::EndEpoch(double validation_loss) {
  const auto alone = EnterToChange();
  NextEpoch(validation_loss);
}

void ArrayTrainer::NextEpoch(double validation_loss) {
  if (std::isfinite(validation_loss)) schedule_->EpochEnded(validation_loss);
  ++epoch_;
  step_ = 0;
  tally_.Restart({});
}

CheckpointInfo ArrayTrainer::NewInfo() const {
  CheckpointInfo info;
  info.architecture = settings_.architecture;
  info.mode = NameOf(settings_.mode);
  info.optimizer = DescribeOptimizer(settings_.optimizer) + (settings_.ema_decay > 0 ? " and moving average" : "");
  info.precision = NameOf(settings_.precision);
  info.seed = settings_.seed;
  return info;
}

CheckpointState ArrayTrainer::State() const {
  CheckpointState state;
  for (const auto &parameter : model_->named_parameters()) state.model.emplace_back(parameter.key(), parameter.value());
  for (const auto &buffer : model_->named_buffers()) state.model.emplace_back(buffer.key(), buffer.value());
  state.optimizer = learner_->optimizer().state();
  state.average = learner_->average().state();
  return state;
}

NamedState ArrayTrainer::Evaluated() const {
  NamedState state;
  for (const auto &[name, tensor] : learner_->average().state()) {
    if (tensor.is_floating_point()) state.emplace_back(name, tensor);  // not how many updates there were
  }
  if (state.empty()) {
    for (const auto &parameter : model_->named_parameters()) {
      if (parameter.value().requires_grad()) state.emplace_back(parameter.key(), parameter.value());
    }
  }
  for (const auto &buffer : model_->named_buffers()) state.emplace_back(buffer.key(), buffer.value());
  return state;
}

NamedState ArrayTrainer::Copies(const NamedState &state) {
  NamedState copies;
  for (const auto &[name, tensor] : state) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

// What training goes on from, also where the weights of the best epoch are in its place.
CheckpointState ArrayTrainer::LatestState() const {
  CheckpointState state = State();
  std::map<std::string, at::Tensor> latest(latest_.begin(), latest_.end());
  // The names of a moving average are those of its parameters.
  for (NamedState *group : {&state.average, &state.model}) {
    for (auto &[name, tensor] : *group) {
      if (auto found = latest.extract(name)) tensor = found.mapped();
    }
  }
  return state;
}

void ArrayTrainer::Save(const std::string &path) {
  const auto alone = Enter();
  tally_.Read();
  const Tally::Totals &totals = tally_.totals();
  CheckpointInfo info = NewInfo();
  info.epoch = epoch_ - 1;
  info.step = step_;
  info.loss_sum = totals.loss;
  info.correct = totals.correct;
  info.images = totals.samples;
  info.skipped_steps = totals.skipped;
  info.plateau = schedule_->plateau();
  info.scaler = learner_->scaler().state();
  info.best_epoch = best_.epoch;
  info.best_val_loss = best_.loss;
  CheckpointState state = LatestState();
  if (best_.epoch > 0 && !(BestIsLatest() && settings_.ema_decay == 0)) state.best = best_.weights;
  WriteCheckpointFile(path, info, state);
}

void ArrayTrainer::Load(const std::string &path) {
  const auto alone = EnterToChange();
  CheckpointState state = State();
  for (const auto &[name, tensor] : Evaluated()) state.best.emplace_back(name, at::empty_like(tensor.detach()));
  const CheckpointRead read = ReadCheckpointFile(path, NewInfo(), &state);
  epoch_ = read.info.epoch + 1;
  step_ = read.info.step;
  schedule_->Restore(read.info.plateau);
  learner_->scaler().Restore(read.info.scaler);
  tally_.Restart({read.info.loss_sum, read.info.correct, read.info.images, read.info.skipped_steps});
  latest_.clear();
  finished_ = false;
  best_ = {};
  if (read.info.best_epoch == 0) return;
  best_.epoch = read.info.best_epoch;
  best_.loss = read.info.best_val_loss;
  best_.weights = read.best_is_current ? Copies(Evaluated()) : std::move(state.best);
  PutBest();  // as if the fit had been stopped there
}

void ArrayTrainer::SaveWeights(const std::string &path) {
  const auto alone = Enter();
  const MovingAverage::InPlace average(&learner_->average());
  trainyard::SaveWeights(*model_, path, {{"format", "pt"}, {"architecture", settings_.architecture}});
}

}  // namespace trainyard
