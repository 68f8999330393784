// The loops of batch norm over rows: one pixel's channels each. Totals are kept in double, partial sums of a few rows
// in float. Thread rule: any thread.
#pragma once

#include <cstdint>

#include "engine_torch/kernels/batch_norm.h"

namespace trainyard::batch_norm {

// sums[c] += sum of x - shift; squares[c] += sum of (x - shift)^2.
void AddMoments(const float *input, int64_t rows, int64_t channels, const float *shift, double *sums, double *squares);

// output = activation(input * scale + offset + residual). residual: or null.
void Normalise(const float *input, const float *residual, int64_t rows, int64_t channels, const float *scale,
               const float *offset, Activation activation, float *output);

// What the backward pass knows of a channel: as in Normalise, and the batch's mean.
struct Forward {
  const float *scale, *offset, *mean;
};

// The gradient before the activation, g, from the one behind it: by the input, or where `output` is given (a residual
// was added; kReLU only) by that. sums[c] += sum of g; products[c] += sum of g (x - mean). before: g itself, or null.
void AddGradients(const float *gradient, const float *input, const float *output, int64_t rows, int64_t channels,
                  const Forward &forward, Activation activation, double *sums, double *products, float *before);

// result = scale (g - g_mean - (x - mean) slope), with g as above, or `gradient` itself if `is_before`.
struct Backward {
  const float *g_mean, *slope;
  bool is_before;
};
void InputGradient(const float *gradient, const float *input, int64_t rows, int64_t channels, const Forward &forward,
                   const Backward &backward, Activation activation, float *result);

}  // namespace trainyard::batch_norm
