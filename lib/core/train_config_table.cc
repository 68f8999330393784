// The table of all settings of a training job: what ty_train_config_describe lists.
#include <limits>

#include "core/train_config.h"

namespace trainyard {
namespace {

using enum SettingType;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kMaxInt = 9007199254740991.0;  // 2^53 - 1

// clang-format off
constexpr Setting kSettings[] = {
    // key                       type         default      min   max      choices
    {"data.directory",           kString,     "\"\"",      0,    0,       "",
     "Directory with one folder `train` and one folder `val` (or `validation`), each with one folder per class."},
    {"data.train_directory",     kString,     "\"\"",      0,    0,       "",
     "Training images, one folder per class; instead of data.directory."},
    {"data.validation_directory", kString,    "\"\"",      0,    0,       "",
     "Validation images, one folder per class; instead of data.directory."},
    {"data.bad_images",          kString,     "\"skip\"",  0,    0,       "skip|fail",
     "What an unreadable image does: it is named, counted and left out, or the run fails."},
    {"data.workers",             kInteger,    "0",         0,    256,     "",
     "Threads that decode and transform images; 0 = as many as there are CPUs. Results do not depend on it."},
    {"data.cache",               kString,     "\"auto\"",  0,    0,       "auto|memory|none|gpu",
     "Keep decoded images in memory after the first epoch: always, never, or when they fit into a quarter of the free memory. gpu: the training images go to the device before the first epoch, and are cropped and resized there (on a CPU: memory)."},
    {"transform.resize",         kInteger,    "256",       1,    8192,    "",
     "Evaluation: the shorter side is resized to this many pixels."},
    {"transform.crop",           kInteger,    "224",       1,    8192,    "",
     "Side of the square that the model sees, in pixels: centre crop for evaluation, random resized crop for training."},
    {"transform.augment",        kBool,       "true",      0,    0,       "",
     "Training uses RandomResizedCrop and RandomHorizontalFlip; false: the evaluation transform."},
    {"transform.scale_minimum",  kNumber,     "0.08",      0.0001, 1,     "",
     "RandomResizedCrop: smallest share of the image's area."},
    {"transform.mean",           kNumberList, "[0.485,0.456,0.406]", -kInf, kInf, "",
     "Subtracted from each channel of the pixels in 0..1 (red, green, blue). The default is ImageNet's."},
    {"transform.std",            kNumberList, "[0.229,0.224,0.225]", 1e-12, kInf, "",
     "Each channel is divided by it. The default is ImageNet's."},
    {"model.architecture",       kString,     "\"resnet18\"", 0, 0,
     "squeezenet1_0|squeezenet1_1|resnet18|resnet34|resnet50|resnet101|densenet121|vgg16_bn|"
     "mobilenet_v2|mobilenet_v3_small|mobilenet_v3_large|efficientnet_b0|convnext_tiny|vit_b_16|mlp|sequential",
     "The network; layers, parameter names and initial weights are torchvision's. vit_b_16 takes images of 224 x 224 pixels only. mlp and sequential are for arrays (ty_trainer)."},
    {"model.weights",            kString,     "\"\"",      0,    0,       "",
     "Weights to start from: a .safetensors, .pth or TorchScript file, https://...#<sha256>, or model:NAME[:VERSION] of the workspace. Empty: random."},
    {"model.mode",               kString,     "\"finetune\"", 0, 0,       "finetune|feature",
     "Train all parameters, or only the head on a frozen backbone."},
    {"model.cache_features",     kInteger,    "0",         0,    1000,    "",
     "feature: so many views of each training image are drawn and go through the backbone, once; epochs take them in turn. The backbone is in evaluation mode. 0 = new views each epoch."},
    {"model.freeze",             kString,     "\"\"",      0,    0,       "",
     "Parameters that stay as they are: names with * and ?, separated by commas (conv1.*,bn1.*,layer1.*)."},
    {"model.inputs",             kInteger,    "0",         0,    1e9,     "", "mlp, sequential: values of one sample."},
    {"model.outputs",            kInteger,    "1",         1,    1e9,     "", "mlp: values that come out."},
    {"model.hidden",             kNumberList, "[256,256]", 1,    1e9,     "", "mlp: widths of the layers between."},
    {"model.activation",         kString,     "\"relu\"",  0,    0,       "relu|leaky_relu|elu|gelu|silu|tanh|sigmoid|softplus", "mlp: what follows each of them."},
    {"model.layers",             kString,     "\"\"",      0,    0,       "",
     "sequential: the layers as JSON, the last one linear: [{\"type\":\"linear\",\"out\":256},{\"type\":\"relu\"},{\"type\":\"linear\",\"out\":1}]. Also leaky_relu, elu, gelu, silu, tanh, sigmoid, softplus, dropout (p), batch_norm, layer_norm, flatten."},
    {"train.epochs",             kInteger,    "25",        1,    1000000, "", "Passes over the training images."},
    {"train.batch_size",         kInteger,    "4",         1,    65536,   "", "Images per step: what one change of the weights is made from."},
    {"train.micro_batch_size",   kInteger,    "0",         0,    65536,   "",
     "Images that go through the model at once; a step adds up the gradients of its parts. 0 = the whole batch; memory that runs out halves it."},
    {"train.seed",               kInteger,    "0",         0,    kMaxInt, "", "Everything random is derived from it."},
    {"train.precision",          kString,     "\"fp32\"",  0,    0,       "fp32|tf32|bf16|fp16",
     "Number format of a step's matrix products and convolutions; weights stay fp32. tf32: GPUs only, elsewhere fp32. bf16, fp16: autocast as in PyTorch, fp16 with a gradient scaler; for GPUs: on CPUs right, and most often slower."},
    {"train.deterministic",      kBool,       "false",     0,    0,       "",
     "On a GPU the same job gives the same bits again, at a price in speed; an operation that cannot is an error, and CUBLAS_WORKSPACE_CONFIG=:4096:8 must be in the environment. CPUs do so anyway."},
    {"train.cuda_graphs",        kString,     "\"auto\"",  0,    0,       "auto|off",
     "On a GPU a step is recorded once and repeated, which small networks and batches gain from; steps that cannot be recorded (fp16, nan_policy skip, class weights, rmsprop) are done one by one."},
    {"train.nan_policy",         kString,     "\"fail\"",  0,    0,       "fail|skip|rollback",
     "A loss that is not a finite number fails the run; the step is left out and counted; or training goes back to the last checkpoint and on with half the rate."},
    {"train.clip_norm",          kNumber,     "0",         0,    kInf,    "", "All gradients together are scaled down to this norm; 0 = no limit."},
    {"train.clip_value",         kNumber,     "0",         0,    kInf,    "", "Each element of a gradient is limited to this; 0 = no limit."},
    {"train.ema_decay",          kNumber,     "0",         0,    1,       "",
     "An exponential moving average of the weights is evaluated and kept in their place (0.999, ...); 0 = none."},
    {"train.early_stop_epochs",  kInteger,    "0",         0,    1000000, "", "Stop after so many epochs without a better one; 0 = never."},
    {"train.log_every_steps",    kInteger,    "10",        1,    1000000, "", "Steps between two points of the metric `train/loss_step` and between progress reports."},
    {"evaluate.batch_size",      kInteger,    "32",        1,    65536,   "", "Images per evaluation step."},
    {"train.steps_per_epoch",    kInteger,    "0",         0,    kMaxInt, "", "ty_trainer: how many steps an epoch has, where schedules need to know it (onecycle, warm-up)."},
    {"loss.name",                kString,     "\"cross_entropy\"", 0, 0,   "cross_entropy|bce|mse|l1|huber",
     "What is made small, with torch.nn's formulas: classes; several labels at once (bce takes logits); numbers."},
    {"loss.delta",               kNumber,     "1",         1e-12, kInf,   "", "huber: where the loss turns from square to straight."},
    {"loss.label_smoothing",     kNumber,     "0",         0,    1,       "", "Share of each label that is spread over all classes."},
    {"loss.class_weights",       kString,     "\"\"",      0,    0,       "",
     "How much each class counts: `balanced` (by its share of the training images), or one number per class in the order of their names, 1,2.5,... Empty: all alike."},
    {"optimizer.name",           kString,     "\"sgd\"",   0,    0,       "sgd|adam|adamw|rmsprop", "The optimizer, with torch.optim's formulas."},
    {"optimizer.lr",             kNumber,     "0.001",     0,    kInf,    "", "Learning rate at the start; of onecycle the highest."},
    {"optimizer.momentum",       kNumber,     "0.9",       0,    1,       "", "Momentum of sgd and rmsprop (of which PyTorch's default is 0)."},
    {"optimizer.nesterov",       kBool,       "false",     0,    0,       "", "sgd: Nesterov's momentum."},
    {"optimizer.weight_decay",   kNumber,     "0",         0,    kInf,    "", "L2 penalty; of adamw (PyTorch's default there is 0.01) the share that weights lose."},
    {"optimizer.beta1",          kNumber,     "0.9",       0,    1,       "", "adam, adamw: decay of the mean of gradients."},
    {"optimizer.beta2",          kNumber,     "0.999",     0,    1,       "", "adam, adamw: decay of the mean of their squares."},
    {"optimizer.alpha",          kNumber,     "0.99",      0,    1,       "", "rmsprop: decay of the mean of squared gradients."},
    {"optimizer.epsilon",        kNumber,     "1e-08",     0,    1,       "", "adam, adamw, rmsprop: added to the denominator."},
    {"optimizer.lr_factors",     kString,     "\"\"",      0,    0,       "",
     "Rates of their own for some parameters: `layer4.*=0.1,fc.*=1`. The first pattern (* and ?) that fits a parameter's name counts; the others have factor 1."},
    {"schedule.name",            kString,     "\"step\"",  0,    0,       "step|multistep|exponential|cosine|onecycle|plateau|constant",
     "How the learning rate changes, as in torch.optim.lr_scheduler: after each epoch; onecycle: after each step."},
    {"schedule.step_size",       kInteger,    "7",         1,    1000000, "", "step: every so many epochs the rate is multiplied by schedule.gamma."},
    {"schedule.gamma",           kNumber,     "0.1",       0,    kInf,    "", "step, multistep, exponential, plateau: the factor."},
    {"schedule.milestones",      kNumberList, "[]",        1,    kMaxInt, "", "multistep: epochs after which the rate is multiplied by schedule.gamma."},
    {"schedule.period",          kInteger,    "0",         0,    1000000, "", "cosine: epochs down to schedule.minimum_lr; 0 = train.epochs."},
    {"schedule.minimum_lr",      kNumber,     "0",         0,    kInf,    "", "cosine, plateau: the lowest rate."},
    {"schedule.patience",        kInteger,    "10",        0,    1000000, "", "plateau: epochs without a smaller validation loss that are put up with."},
    {"schedule.threshold",       kNumber,     "0.0001",    0,    1,       "", "plateau: how much smaller a loss must be to count, as a share of it."},
    {"schedule.rise",            kNumber,     "0.3",       0,    1,       "", "onecycle: share of the steps in which the rate rises."},
    {"schedule.division",        kNumber,     "25",        1,    kInf,    "", "onecycle: the first rate is optimizer.lr divided by it."},
    {"schedule.final_division",  kNumber,     "10000",     1,    kInf,    "", "onecycle: the last rate is the first divided by it."},
    {"schedule.cycle_momentum",  kBool,       "true",      0,    0,       "", "onecycle: the momentum (beta1) goes from 0.95 to 0.85 and back meanwhile."},
    {"schedule.warmup_steps",    kInteger,    "0",         0,    kMaxInt, "", "Steps in which the rate rises evenly to what it would be; not with onecycle."},
    {"schedule.warmup_start",    kNumber,     "0.01",      0,    1,       "", "The factor that this rise starts from."},
    {"checkpoint.every_epochs",  kInteger,    "1",         0,    1000000, "", "Epochs between checkpoints; 0 = none."},
    {"checkpoint.every_steps",   kInteger,    "0",         0,    kMaxInt, "", "Steps between checkpoints within an epoch; 0 = none but when the run has to make room."},
    {"checkpoint.keep",          kInteger,    "1",         1,    1000,    "", "How many checkpoints are kept."},
    {"device",                   kString,     "\"auto\"",  0,    0,       "", "auto (a GPU when there is one), cpu, cuda or cuda:N."},
    {"threads",                  kInteger,    "0",         0,    1024,    "", "CPU threads of one step; 0 = as many as there are CPUs."},
};
// clang-format on

}  // namespace

std::span<const Setting> TrainConfig::Settings() {
  return kSettings;
}

}  // namespace trainyard
