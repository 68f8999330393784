"""Exports small TorchScript modules, one or more for every operator that can be exported, and compares in ONNX Runtime with torch, for
several batch sizes. Then whole models of torchvision that the library has no architecture for, as TorchScript.

usage: operators_parity.py <export_driver>
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy
import onnx
import onnxruntime
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
torch.manual_seed(5)
torch.set_num_threads(1)
driver = sys.argv[1]
folder = tempfile.TemporaryDirectory(prefix="trainyard-operators-")
failures, cases, seen = [], [], set()


class Case:
    def __init__(self, name, module, shape, options, limit):
        self.name, self.module, self.shape, self.options, self.limit = name, module.eval(), shape, options, limit
        self.path = os.path.join(folder.name, f"{len(cases)}.pt")
        self.out = self.path + ".onnx"

    def input(self, batch):
        torch.manual_seed(batch)
        if self.options.get("input_type") == "int64":
            return torch.randint(0, 5, (batch, *self.shape))
        return torch.randn(batch, *self.shape)


def case(name, module, shape=(3, 4), limit=1e-4, **options):
    cases.append(Case(name, module, shape, {"input_shape": list(shape), **options}, limit))


def function(source, shape=(3, 4), limit=1e-4, **options):
    """`source` is an expression of x, in TorchScript."""
    lines = source.strip().split("\n")
    body = "\n".join("    " + line for line in lines[:-1]) + f"\n    return {lines[-1]}\n"
    module = type(f"Function{len(cases)}", (torch.jit.ScriptModule,), {})()  # of its own class, whose method it is
    try:
        module.define("def forward(self, x):\n" + body)
    except RuntimeError as error:
        return failures.append(f"{source}: is no TorchScript: {str(error).strip().splitlines()[0]}")
    cases.append(Case(source.strip().replace("\n", "; "), module, shape, {"input_shape": list(shape), **options}, limit))


# Elements
for name in ("abs", "atan", "ceil", "cos", "erf", "exp", "floor", "neg", "relu", "round", "sigmoid", "sign", "sin", "square", "tanh",
             "selu", "reciprocal"):
    function(f"torch.{name}(x)")
for name in ("log", "sqrt", "rsqrt"):
    function(f"torch.{name}(x.abs() + 0.1)")
for source in ("x + 2", "x + x.exp()", "torch.add(x, x.exp(), alpha=0.5)", "x - 3", "torch.sub(x, x.exp(), alpha=2)", "1 - x",
               "torch.rsub(x, 2.0, alpha=3)", "x * x", "x * 2.5", "x / 3", "x / (x.abs() + 1)", "torch.div(x, 0.7, rounding_mode='floor')",
               "torch.div(x, 0.7, rounding_mode='trunc')", "torch.floor_divide(x, 0.7)", "torch.remainder(x, 0.7)", "x ** 2",
               "x.abs() ** 0.5", "2.0 ** x", "torch.maximum(x, -x)", "torch.minimum(x, x * 2)", "torch.max(x, -x)", "torch.min(x, -x)",
               "torch.clamp(x, -0.5, 0.5)", "torch.clamp(x, min=0.1)", "torch.clamp_max(x, 0.2)", "torch.clamp_min(x, 0.2)",
               "torch.addcmul(x, x, x.exp(), value=0.5)", "torch.addcdiv(x, x, x.exp(), value=2)",
               "(x > 0).float()", "(x >= x.mean()).float()", "(x < 0.5).float() + (x <= 0).float()", "(x == x.floor()).float()",
               "(x != 0).float()", "((x > 0) & (x < 1)).float()", "((x > 1) | (x < -1)).float()", "(~(x > 0)).float()",
               "((x > 0) ^ (x > 1)).float()", "torch.logical_and(x > 0, x < 1).float()", "torch.logical_or(x > 1, x < -1).float()",
               "torch.logical_xor(x > 0, x > 1).float()", "torch.logical_not(x > 0).float()",
               "torch.bitwise_and(x > 0, x < 1).float()", "torch.bitwise_or(x > 1, x < -1).float()",
               "torch.bitwise_not(x > 0).float()", "torch.where(x > 0, x, x * 0.1)", "x.masked_fill(x > 1, 0.5)",
               "x.to(torch.float64) * 2", "(x * 10).to(torch.int64).to(torch.float32)", "x.type_as(x.double()) + 1",
               "x.clone() + x.detach() + x.contiguous()", "F_dropout(x)", "torch.alpha_dropout(x, 0.5, False)",
               "torch.feature_dropout(x, 0.5, False)", "torch.feature_alpha_dropout(x, 0.5, False)",
               "torch.zeros([x.size(0), 2]) + x[:, 0, :2]", "torch.ones([x.size(0), 2]) + x[:, 0, :2]",
               "torch.full([x.size(0), 2], 3.5) + x[:, 0, :2]", "torch.zeros_like(x) + x", "torch.ones_like(x) + x",
               "torch.full_like(x, 2.5) + x", "x.new_zeros([x.size(0), 4]) + x[:, 0]", "x.new_ones([x.size(0), 4]) + x[:, 0]",
               "x.new_full([x.size(0), 4], 7.0) + x[:, 0]", "torch.arange(x.size(0)).float().unsqueeze(1) + x[:, 0]",
               "y = x * 1\ny.fill_(2.0)\ny + x", "y = x * 1\ny.zero_()\ny + x",
               "y = torch.empty([x.size(0), 3, 4])\ny.fill_(3.5)\ny + x", "y = x.new_empty([3, 4])\ny.zero_()\ny + x"):
    function(source.replace("F_dropout(x)", "torch.dropout(x, 0.5, False)"))
function("(x + 3) / 2", input_type="int64")
function("x // 2", input_type="int64")
function("x % 3", input_type="int64")
function("torch.div(x - 2, 2, rounding_mode='trunc')", input_type="int64")

# Activations
for module in (nn.ReLU6(), nn.Hardtanh(-0.3, 0.7), nn.Hardsigmoid(), nn.Hardswish(), nn.SiLU(), nn.Mish(), nn.GELU(), nn.GELU("tanh"),
               nn.ELU(0.7), nn.CELU(0.7), nn.LeakyReLU(0.2), nn.PReLU(), nn.GLU(), nn.Softplus(), nn.LogSigmoid(), nn.Softmax(1),
               nn.LogSoftmax(-1)):
    case(str(module), module)
function("torch.ops.aten.relu6(x * 5)")
case("PReLU of channels", nn.PReLU(3, 0.3), (3, 4, 5))
case("GELU, opset 20", nn.GELU(), opset=20)
case("GELU tanh, opset 20", nn.GELU("tanh"), opset=20)
case("Hardswish, opset 13", nn.Hardswish(), opset=13)

# Layers
case("Conv1d", nn.Conv1d(3, 4, 3, 2, 1), (3, 9))
case("Conv2d", nn.Conv2d(4, 6, (3, 5), (1, 2), (2, 1), groups=2, bias=False), (4, 9, 11))
case("Conv2d dilated", nn.Conv2d(3, 4, 3, dilation=2, padding="same"), (3, 9, 9))
case("Conv3d", nn.Conv3d(2, 3, 2), (2, 4, 5, 6))
case("ConvTranspose2d", nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1), (3, 5, 6))
for size in (9, 10, 11, 12, 13):
    for kernel, stride, padding in ((3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 1), (3, 1, 1)):
        for up in (False, True):
            case(f"MaxPool2d {size} {kernel} {stride} {padding} {up}", nn.MaxPool2d(kernel, stride, padding, ceil_mode=up), (2, size, size + 1))
            for counted in (False, True):
                case(f"AvgPool2d {size} {kernel} {stride} {padding} {up} {counted}",
                     nn.AvgPool2d(kernel, stride, padding, ceil_mode=up, count_include_pad=counted), (2, size, size + 1))
case("MaxPool1d", nn.MaxPool1d(3, 2, dilation=2), (2, 9))
case("MaxPool3d", nn.MaxPool3d(2), (2, 4, 4, 4))
case("AvgPool1d", nn.AvgPool1d(3), (2, 9))
case("AvgPool3d", nn.AvgPool3d(2), (2, 4, 4, 4))
case("AdaptiveAvgPool1d", nn.AdaptiveAvgPool1d(4), (2, 9))
case("AdaptiveAvgPool3d", nn.AdaptiveAvgPool3d((1, 2, 2)), (2, 4, 4, 4))
for size in (1, 2, 3, 5, 6, 7, 9):
    case(f"AdaptiveAvgPool2d {size}", nn.AdaptiveAvgPool2d((size, 6)), (2, 6, 9))
case("AdaptiveMaxPool1d", nn.AdaptiveMaxPool1d(3), (2, 9))
case("AdaptiveMaxPool2d", nn.AdaptiveMaxPool2d(2), (2, 4, 6))
case("AdaptiveMaxPool3d", nn.AdaptiveMaxPool3d(1), (2, 4, 6, 2))


def shaken(module):
    with torch.no_grad():
        for value in list(module.parameters()) + [b for b in module.buffers() if b.is_floating_point()]:
            value.uniform_(0.5, 1.5)
    return module


case("BatchNorm1d", shaken(nn.BatchNorm1d(4)), (4,))
case("BatchNorm2d", shaken(nn.BatchNorm2d(3)), (3, 4, 5))
case("BatchNorm2d plain", shaken(nn.BatchNorm2d(3, affine=False)), (3, 4, 5))
case("InstanceNorm2d", shaken(nn.InstanceNorm2d(3, affine=True)), (3, 4, 5))
case("InstanceNorm2d plain", nn.InstanceNorm2d(3), (3, 4, 5))
case("InstanceNorm2d tracking", shaken(nn.InstanceNorm2d(3, affine=True, track_running_stats=True)), (3, 4, 5))
case("GroupNorm", shaken(nn.GroupNorm(2, 4)), (4, 3, 5))
case("GroupNorm plain", nn.GroupNorm(2, 4, affine=False), (4, 3, 5))
for opset in (16, 17, 18):
    case(f"LayerNorm {opset}", shaken(nn.LayerNorm([3, 4])), opset=opset)
    case(f"LayerNorm plain {opset}", nn.LayerNorm(4, elementwise_affine=False), opset=opset)
    case(f"RMSNorm {opset}", shaken(nn.RMSNorm(4)), opset=opset)
for mode, corners in (("nearest", None), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)):
    case(f"Upsample {mode} {corners}", nn.Upsample(scale_factor=2, mode=mode, align_corners=corners), (2, 5, 6))
    case(f"Upsample {mode} {corners} to size", nn.Upsample(size=(7, 3), mode=mode, align_corners=corners), (2, 5, 6))
case("Upsample 1d", nn.Upsample(scale_factor=3), (2, 5))

# Matrices
case("Linear", nn.Linear(4, 5), (4,))
case("Linear of sequences", nn.Linear(4, 5))
case("Linear without bias", nn.Linear(4, 5, bias=False), (4,))
for source in ("torch.matmul(x, x.transpose(1, 2))", "torch.bmm(x, x.transpose(1, 2))", "torch.mm(x[:, 0], x[0].t())",
               "torch.addmm(torch.ones([3]), x[:, 0], x[0].t(), beta=0.5, alpha=2.0)",
               "torch.baddbmm(torch.ones([1, 3, 3]), x, x.transpose(1, 2), beta=0.5, alpha=2.0)",
               "torch.einsum('bij,bkj->bik', [x, x])",
               "torch.nn.functional.scaled_dot_product_attention(x, x, x)", "torch.nn.functional.scaled_dot_product_attention(x, x * 2, x + 1, scale=0.3)",
               "torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)",
               "torch.nn.functional.scaled_dot_product_attention(x, x, x, torch.ones([3, 3], dtype=torch.bool).tril())",
               "torch.nn.functional.scaled_dot_product_attention(x, x, x, torch.ones([3, 3]) * 0.3)"):
    function(source)


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Native(nn.Module):
    """What PyTorch's fast path runs."""
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        return torch._native_multi_head_attention(x, x, x, 8, 2, self.qkv.weight, self.qkv.bias, self.out.weight, self.out.bias,
                                                  None, False)[0]


class Recurrent(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


case("MultiheadAttention", SelfAttention(), (5, 8))
case("native attention", Native(), (5, 8))
case("TransformerEncoderLayer", nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), (5, 8))
case("Embedding", nn.Embedding(7, 3), (4,), input_type="int64")
for options in ({}, {"num_layers": 2, "bidirectional": True}, {"bias": False}):
    for kind in (nn.LSTM, nn.GRU):
        case(f"{kind.__name__} {options}", Recurrent(kind(4, 6, batch_first=True, **options)), (5, 4))

# Reductions
for source in ("x.mean()", "x.mean([1])", "x.mean([1, 2], keepdim=True)", "x.sum()", "x.sum([2])", "torch.amax(x, [1])",
               "torch.amin(x, [1, 2], keepdim=True)", "torch.prod(x, 1)", "torch.logsumexp(x, [1])", "x.max()", "x.min()",
               "torch.max(x, 1)[0]", "torch.max(x, 2)[1].float()", "torch.min(x, 1, keepdim=True)[0]", "torch.argmax(x, 1).float()",
               "torch.argmin(x, 2, keepdim=True).float()", "torch.argmax(x[:1]).float().reshape(1)", "torch.norm(x, 2, [1])", "torch.ops.aten.norm(x, 2, [1], True)",
               "torch.ops.aten.linalg_vector_norm(x, 1, [1], True)", "torch.ops.aten.linalg_vector_norm(x)", "torch.var(x, [1])", "torch.var(x, [1], unbiased=False)",
               "torch.std(x, [1, 2], keepdim=True)", "torch.var(x, [2], correction=2)", "torch.cumsum(x, 1)", "torch.topk(x, 2, 2)[0]",
               "torch.topk(x, 2, 1, largest=False)[1].float()"):
    function(source)
    function(source, opset=18)

# Shapes
for source in ("x.reshape(x.size(0), 12)", "x.reshape(-1, 4)", "x.view(x.size(0), 2, 6)", "x.view_as(x.transpose(1, 2).contiguous())",
               "x.reshape_as(x.transpose(1, 2))", "x.flatten()", "x.flatten(1)", "x.flatten(0, 1)", "x.unflatten(2, [2, 2])",
               "x.reshape(x.size(0), 1, 12).squeeze(1)", "x.unsqueeze(0).unsqueeze(-1)",
               "x.permute(2, 0, 1)", "x.transpose(0, -1)", "x[0].t()", "x[0].T + 0", "x.movedim(0, 2)", "x.movedim([0, 1], [1, 2])",
               "x.unsqueeze(1).expand(-1, 2, -1, -1) + 0", "torch.ones([1, 3, 4]).expand(x.size(0), 3, 4) * x",
               "x[:, :1].expand_as(x) * 2", "x.repeat(1, 2, 3)", "x.repeat(2, 1, 1, 1)", "torch.cat([x, x * 2], 1)", "torch.cat([x, x], 0)",
               "torch.cat([x, torch.zeros([0])], 2)", "torch.stack([x, x + 1], 1)", "a, b = x.chunk(2, 2)\na * b",
               "a, b, c = torch.split(x, 1, 1)\na * b + c", "a, b = torch.split(x, [1, 3], 2)\nb + a",
               "a, b, c = torch.tensor_split(x, 3, 2)\na[:, :, :1] * b + c", "a, b, c = torch.unbind(x, 1)\na * b + c",
               "x[:, 1:]", "x[:, :, ::2]", "x[:, -2:, 1:3]", "x[:1]", "x[:x.size(0) - 1, 0]", "x.narrow(2, 1, 2)", "x[:, 1]", "x[:, :, -1]",
               "x.index_select(2, torch.tensor([3, 0]))", "torch.gather(x, 2, (x[:, :, :2] > 0).long())", "x[:, torch.tensor([2, 0, 1])]",
               "x.flip([1, 2])", "torch.roll(x, [1, -1], [1, 2])", "torch.constant_pad_nd(x, [1, 2, 0, 1], 0.5)",
               "torch.tril(x)", "torch.triu(x, 1)", "torch.ops.aten._unsafe_view(x, [x.size(0), 12])", "torch.ops.aten.alias(x) + 1",
               "x.unsqueeze(1).chunk(1, 1)[0] * 2", "mask = torch.zeros([3, 4])\nmask[1:, :2] = 1\nx * mask"):
    function(source)
function("torch.ops.aten.reflection_pad1d(x, [2, 1])", (2, 5))
function("torch.ops.aten.reflection_pad2d(x, [1, 2, 2, 1])", (2, 4, 5))
function("torch.ops.aten.replication_pad1d(x, [2, 1])", (2, 5))
function("torch.ops.aten.replication_pad2d(x, [1, 2, 0, 1])", (2, 4, 5))
function("torch.ops.aten.replication_pad3d(x, [1, 1, 1, 1, 1, 1])", (2, 4, 5, 3))
function("a, b = torch.ops.aten.split_with_sizes(x, [1, 3], 2)\nb + a")
case("pad", nn.ConstantPad2d((1, 2, 0, 1), 0.5), (2, 4, 5))
case("ReflectionPad1d", nn.ReflectionPad1d((2, 1)), (2, 5))
case("ReflectionPad2d", nn.ReflectionPad2d((1, 2, 2, 1)), (2, 4, 5))
case("ReplicationPad1d", nn.ReplicationPad1d((2, 1)), (2, 5))
case("ReplicationPad2d", nn.ReplicationPad2d((1, 2, 0, 1)), (2, 4, 5))
case("ReplicationPad3d", nn.ReplicationPad3d(1), (2, 4, 5, 3))
case("PixelShuffle", nn.PixelShuffle(2), (8, 3, 4))
case("PixelUnshuffle", nn.PixelUnshuffle(2), (2, 6, 4))
case("ChannelShuffle", nn.ChannelShuffle(2), (4, 3, 5))
function("torch.matmul(x, torch.ones([4, 2])).reshape(x.size(0) * 3, 2).reshape(x.size(0), 3, 2)")

# Whole models, with random weights; small images, except where the model fixes their size.
for name, side in (("alexnet", 96), ("vgg11_bn", 64), ("densenet121", 64), ("googlenet", 96), ("mnasnet0_5", 64), ("shufflenet_v2_x0_5", 64),
                   ("mobilenet_v2", 64), ("mobilenet_v3_large", 64), ("efficientnet_b0", 64), ("regnet_y_400mf", 64), ("convnext_tiny", 64),
                   ("vit_b_32", 224), ("inception_v3", 128)):
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = getattr(torchvision.models, name)(num_classes=10, **extra)
    case(name, model, (3, side, side), limit=1e-3)

known = subprocess.run([driver, "operators"], capture_output=True, text=True, check=True).stdout.split()
for each in cases:
    script = each.module if isinstance(each.module, torch.jit.ScriptModule) else torch.jit.script(each.module)
    script.save(each.path)
lines = os.path.join(folder.name, "batch")
with open(lines, "w") as file:
    for each in cases:
        file.write("\t".join((each.path, json.dumps(each.options), each.out)) + "\n")
answers = subprocess.run([driver, "batch", lines], capture_output=True, text=True).stdout.split("\n")


def tensors(result):
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result if part is not None for tensor in tensors(part)] if result is not None else []


for each, answer in zip(cases, answers + [""] * len(cases)):
    if not answer.startswith("ok"):
        failures.append(f"{each.name}: {answer}")
        continue
    seen |= set(answer.split()[2:])
    try:
        onnx.checker.check_model(each.out, full_check=True)
    except Exception as error:
        failures.append(f"{each.name}: the checker says {str(error)[:300]}")
        continue
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(each.out, settings, providers=["CPUExecutionProvider"])
    module = torch.jit.load(each.path).eval()
    for batch in (1, 2, 5):
        value = each.input(batch)
        with torch.no_grad():
            theirs = tensors(module(value.clone()))
        ours = session.run(None, {session.get_inputs()[0].name: value.numpy()})
        if len(ours) != len(theirs):
            failures.append(f"{each.name}: {len(ours)} outputs, not {len(theirs)}")
            break
        for a, b in zip(ours, theirs):
            b = b.numpy()
            if a.shape != b.shape or a.dtype != b.dtype:
                failures.append(f"{each.name}, batch {batch}: {a.dtype} {a.shape}, not {b.dtype} {b.shape}")
            elif a.size and not numpy.abs(a - b).max() <= each.limit * max(1, numpy.abs(b).max()):
                failures.append(f"{each.name}, batch {batch}: differs by {numpy.abs(a - b).max()}")
    os.unlink(each.out)
missing = [name for name in known if name not in seen]
if missing:
    failures.append(f"operators that no case uses: {missing}")
folder.cleanup()
for failure in failures[:60]:
    print("FAILED:", failure)
print(f"{len(cases)} modules, {len(known)} operators, {len(failures)} failures")
sys.exit(bool(failures))
