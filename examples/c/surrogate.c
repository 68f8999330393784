/*
 * A simulation that learns from itself: while it integrates a driven pendulum, a small network learns the step from one
 * state to the next, from the arrays that are in memory anyway. No files, no workspace, no other process.
 *
 *   surrogate [STEPS]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <trainyard/trainyard.h>

enum { kPendulums = 256, kInputs = 3, kOutputs = 2 };

static ty_error *error;

static void check(ty_status status, const char *what) {
  if (status == TY_OK) return;
  fprintf(stderr, "%s: %s (%s)\n", what, ty_error_message(error), ty_status_name(status));
  ty_error_free(error);
  exit(1);
}

/* A view of an array, row by row: what NumPy, PyTorch and CuPy pass each other too. */
static DLTensor view(float *values, int64_t *shape) {
  DLTensor tensor = {0};
  tensor.data = values;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = 2;
  tensor.dtype.code = kDLFloat;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.shape = shape;
  return tensor;
}

/* Angle, speed and torque of each pendulum -> how angle and speed change in a twentieth of a second. */
static void simulate(float (*states)[kInputs], float (*changes)[kOutputs]) {
  for (int i = 0; i < kPendulums; ++i) {
    const float angle = states[i][0], speed = states[i][1], torque = states[i][2];
    changes[i][0] = 0.05f * speed;
    changes[i][1] = 0.05f * (torque - sinf(angle) - 0.1f * speed);
  }
}

int main(int argc, char **argv) {
  const int steps = argc > 1 ? atoi(argv[1]) : 2000;
  static float states[kPendulums][kInputs], changes[kPendulums][kOutputs];
  int64_t input_shape[] = {kPendulums, kInputs}, target_shape[] = {kPendulums, kOutputs};
  const DLTensor inputs = view(&states[0][0], input_shape), targets = view(&changes[0][0], target_shape);

  ty_train_config *config = NULL;
  ty_trainer *trainer = NULL;
  check(
      ty_train_config_from_json("{\"model\":{\"architecture\":\"mlp\",\"inputs\":3,\"hidden\":[64,64],\"outputs\":2,"
                                "\"activation\":\"tanh\"},\"loss\":{\"name\":\"mse\"},\"optimizer\":{\"name\":\"adam\","
                                "\"lr\":0.002},\"schedule\":{\"name\":\"constant\"},\"threads\":1}",
                                &config, &error),
      "settings");
  check(ty_trainer_new(config, NULL, &trainer, &error), "trainer");
  for (int i = 0; i < kPendulums; ++i) states[i][0] = 6.28f * (float)i / kPendulums - 3.14f;
  double loss = 0;
  for (int step = 1; step <= steps; ++step) {
    for (int i = 0; i < kPendulums; ++i) states[i][2] = sinf(0.01f * (float)(step * (i % 7)));
    simulate(states, changes);
    check(ty_trainer_step(trainer, &inputs, &targets, &loss, &error), "step");
    if (step % 500 == 0) printf("step %5d  loss %.2e\n", step, loss);
    for (int i = 0; i < kPendulums; ++i) {
      states[i][0] = remainderf(states[i][0] + changes[i][0], 6.2831853f);
      states[i][1] += changes[i][1];
    }
  }
  check(ty_trainer_save_weights(trainer, "surrogate.safetensors", &error), "save");
  printf("loss %.2e, weights in surrogate.safetensors\n", loss);
  ty_trainer_free(trainer);
  ty_train_config_free(config);
  return 0;
}
