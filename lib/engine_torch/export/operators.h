// Which operators of PyTorch can be exported, and how: one row each in operators.cc. Thread rule: constant data and
// functions.
#pragma once

#include <span>
#include <string_view>

#include "engine_torch/export/operation.h"

namespace trainyard::onnx {

struct Operator {
  std::string_view name;  // "aten::relu"
  // Adds what computes the results, and sets them.
  void (*translate)(Operation &operation, const char *onnx);
  const char *onnx;  // for translations that several rows share: the operator they differ in
};

// Sorted by name.
std::span<const Operator> Operators();
// Null when there is none.
const Operator *FindOperator(std::string_view name);

// The translations, by family: operators_<family>.cc. The second parameter is the row's `onnx`.
// Elements.
void TranslateUnary(Operation &operation, const char *onnx);
void TranslateBinary(Operation &operation, const char *onnx);
void TranslateComparison(Operation &operation, const char *onnx);
void TranslateNotEqual(Operation &operation, const char *onnx);
void TranslateLogical(Operation &operation, const char *onnx);
void TranslateAddition(Operation &operation, const char *onnx);
void TranslateReversedSubtraction(Operation &operation, const char *onnx);
void TranslateDivision(Operation &operation, const char *onnx);
void TranslateRemainder(Operation &operation, const char *onnx);
void TranslateReciprocalRoot(Operation &operation, const char *onnx);
void TranslateSquare(Operation &operation, const char *onnx);
void TranslateClamp(Operation &operation, const char *onnx);
void TranslateWhere(Operation &operation, const char *onnx);
void TranslateMaskedFill(Operation &operation, const char *onnx);
void TranslateProductAddition(Operation &operation, const char *onnx);
void TranslateFill(Operation &operation, const char *onnx);
void TranslateRange(Operation &operation, const char *onnx);
void TranslateConversion(Operation &operation, const char *onnx);
void TranslateIdentity(Operation &operation, const char *onnx);
void TranslateDropout(Operation &operation, const char *onnx);
// Activations.
void TranslateRelu6(Operation &operation, const char *onnx);
void TranslateHardtanh(Operation &operation, const char *onnx);
void TranslateHardSigmoid(Operation &operation, const char *onnx);
void TranslateHardSwish(Operation &operation, const char *onnx);
void TranslateSilu(Operation &operation, const char *onnx);
void TranslateMish(Operation &operation, const char *onnx);
void TranslateGelu(Operation &operation, const char *onnx);
void TranslateElu(Operation &operation, const char *onnx);
void TranslateCelu(Operation &operation, const char *onnx);
void TranslateLeakyRelu(Operation &operation, const char *onnx);
void TranslatePRelu(Operation &operation, const char *onnx);
void TranslateGlu(Operation &operation, const char *onnx);
void TranslateSoftplus(Operation &operation, const char *onnx);
void TranslateLogSigmoid(Operation &operation, const char *onnx);
void TranslateSoftmax(Operation &operation, const char *onnx);
// Layers.
void TranslateConvolution(Operation &operation, const char *onnx);
void TranslateMaxPool(Operation &operation, const char *onnx);
void TranslateAveragePool(Operation &operation, const char *onnx);
void TranslateAdaptiveAveragePool(Operation &operation, const char *onnx);
void TranslateAdaptiveMaxPool(Operation &operation, const char *onnx);
void TranslateBatchNorm(Operation &operation, const char *onnx);
void TranslateInstanceNorm(Operation &operation, const char *onnx);
void TranslateGroupNorm(Operation &operation, const char *onnx);
void TranslateLayerNorm(Operation &operation, const char *onnx);
void TranslateRmsNorm(Operation &operation, const char *onnx);
void TranslateUpsample(Operation &operation, const char *onnx);
// Products of matrices, and attention.
void TranslateLinear(Operation &operation, const char *onnx);
void TranslateMatMul(Operation &operation, const char *onnx);
void TranslateAddMm(Operation &operation, const char *onnx);
void TranslateEinsum(Operation &operation, const char *onnx);
void TranslateAttention(Operation &operation, const char *onnx);
void TranslateMultiHeadAttention(Operation &operation, const char *onnx);
void TranslateEmbedding(Operation &operation, const char *onnx);
// Recurrent layers.
void TranslateRecurrent(Operation &operation, const char *onnx);
// Reductions.
void TranslateReduction(Operation &operation, const char *onnx);
void TranslateExtremum(Operation &operation, const char *onnx);
void TranslateArgument(Operation &operation, const char *onnx);
void TranslateNorm(Operation &operation, const char *onnx);
void TranslateVariance(Operation &operation, const char *onnx);
void TranslateCumulativeSum(Operation &operation, const char *onnx);
void TranslateTopK(Operation &operation, const char *onnx);
// Shapes.
void TranslateReshape(Operation &operation, const char *onnx);
void TranslateFlatten(Operation &operation, const char *onnx);
void TranslateSqueeze(Operation &operation, const char *onnx);
void TranslateUnsqueeze(Operation &operation, const char *onnx);
void TranslatePermute(Operation &operation, const char *onnx);
void TranslateTranspose(Operation &operation, const char *onnx);
void TranslateExpand(Operation &operation, const char *onnx);
void TranslateRepeat(Operation &operation, const char *onnx);
void TranslateConcat(Operation &operation, const char *onnx);
void TranslateStack(Operation &operation, const char *onnx);
void TranslateSplit(Operation &operation, const char *onnx);
void TranslateUnbind(Operation &operation, const char *onnx);
void TranslateSlice(Operation &operation, const char *onnx);
void TranslateNarrow(Operation &operation, const char *onnx);
void TranslateSelect(Operation &operation, const char *onnx);
void TranslateIndexSelect(Operation &operation, const char *onnx);
void TranslateGather(Operation &operation, const char *onnx);
void TranslateIndex(Operation &operation, const char *onnx);
void TranslateFlip(Operation &operation, const char *onnx);
void TranslateRoll(Operation &operation, const char *onnx);
void TranslatePad(Operation &operation, const char *onnx);
void TranslatePixelShuffle(Operation &operation, const char *onnx);
void TranslatePixelUnshuffle(Operation &operation, const char *onnx);
void TranslateChannelShuffle(Operation &operation, const char *onnx);
void TranslateTriangle(Operation &operation, const char *onnx);

}  // namespace trainyard::onnx
