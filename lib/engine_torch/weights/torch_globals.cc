#include "engine_torch/weights/torch_globals.h"

#include <algorithm>
#include <string>

namespace trainyard {
namespace {

// Whole names.
constexpr std::string_view kAllowed[] = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._tensor._rebuild_from_type_v2",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
    "torch.Tensor",
    "torch._tensor.Tensor",
    "torch.Size",
    "torch.device",
    "torch.dtype",
    "torch.serialization._get_layout",
    "torch._dynamo.eval_frame.OptimizedModule",
    // What pickle itself needs for plain values.
    "_codecs.encode",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
    "copyreg.__newobj__",
    "copy_reg.__newobj__",
    // Plain values beside the weights of a checkpoint.
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "datetime.datetime",
};

// The builtins that build plain values ("__builtin__" is the name that pickle protocol 2 gives the module).
constexpr std::string_view kAllowedBuiltins[] = {"set",   "frozenset", "object", "list", "dict",   "tuple",
                                                 "slice", "bytearray", "int",    "bool", "float",  "str",
                                                 "bytes", "complex",   "range",  "long", "unicode"};

// Modules whose classes (names with a capital first letter) are objects made of tensors and plain values.
constexpr std::string_view kClassModules[] = {"torch.nn.modules.",   "torch.nn.parallel.", "torch.optim.",
                                              "torchvision.models.", "torchvision.ops.",   "torchvision.transforms."};

// Modules of functions that whole modules keep references to (an activation, a normalisation), never called here.
constexpr std::string_view kFunctionModules[] = {"torch.nn.functional", "torch._C._nn", "torch.nn.init"};

// No module class lives here, so the reading stops at once.
constexpr std::string_view kSystemModules[] = {
    "os",          "posix",     "nt",       "sys",      "subprocess", "builtins",
    "__builtin__", "importlib", "runpy",    "shutil",   "socket",     "ctypes",
    "pickle",      "_pickle",   "code",     "codeop",   "pty",        "webbrowser",
    "operator",    "functools", "timeit",   "pdb",      "bdb",        "asyncio",
    "tempfile",    "threading", "requests", "urllib",   "http",       "marshal",
    "commands",    "types",     "inspect",  "platform", "signal",     "multiprocessing"};

struct ElementType {
  std::string_view storage;
  std::string_view name;
  DType dtype;
};
constexpr ElementType kElementTypes[] = {
    {"DoubleStorage", "float64", DType::kFloat64}, {"FloatStorage", "float32", DType::kFloat32},
    {"HalfStorage", "float16", DType::kFloat16},   {"BFloat16Storage", "bfloat16", DType::kBFloat16},
    {"LongStorage", "int64", DType::kInt64},       {"IntStorage", "int32", DType::kInt32},
    {"ShortStorage", "int16", DType::kInt16},      {"CharStorage", "int8", DType::kInt8},
    {"ByteStorage", "uint8", DType::kUInt8},       {"BoolStorage", "bool", DType::kBool},
    {"UntypedStorage", "", DType::kUInt8},
};

template <size_t N>
bool Contains(const std::string_view (&list)[N], std::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

bool IsStorageModule(std::string_view module) {
  return module == "torch" || module == "torch.storage" || module == "torch.cuda";
}

// A dotted name could walk from an allowed module to any other.
bool IsPlainName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

bool IsClassName(std::string_view name) {
  const size_t first = name.find_first_not_of('_');
  return first != std::string_view::npos && name[first] >= 'A' && name[first] <= 'Z';
}

// "torch." or "torch.nn." removed: the last part of a dotted name.
std::string_view LastPart(std::string_view global) {
  const size_t dot = global.rfind('.');
  return dot == std::string_view::npos ? global : global.substr(dot + 1);
}

// torch.strided, torch.channels_last, ...: constants, not functions.
bool IsTorchConstant(std::string_view name) {
  constexpr std::string_view kConstants[] = {"strided",       "contiguous_format", "preserve_format",
                                             "channels_last", "channels_last_3d",  "complex64",
                                             "complex128"};
  return Contains(kConstants, name) || DTypeOfName("torch." + std::string(name)).has_value();
}

}  // namespace

GlobalVerdict TorchGlobalVerdict(std::string_view module, std::string_view name) {
  // What a Vision Transformer of torchvision remembers its kind of norm by; what it would call is judged by its own
  // name.
  if (module == "functools" && name == "partial") return GlobalVerdict::kAllow;
  const bool builtin = module == "builtins" || module == "__builtin__";
  if (builtin && Contains(kAllowedBuiltins, name)) return GlobalVerdict::kAllow;
  if (Contains(kSystemModules, module.substr(0, module.find('.')))) return GlobalVerdict::kRefuse;
  if (!IsPlainName(name)) return GlobalVerdict::kRefuse;
  if (Contains(kAllowed, std::string(module) + "." + std::string(name))) return GlobalVerdict::kAllow;
  if (IsStorageModule(module) && (name.ends_with("Storage") || (module == "torch" && IsTorchConstant(name)))) {
    return GlobalVerdict::kAllow;
  }
  for (const std::string_view prefix : kClassModules) {
    if (module.starts_with(prefix) && IsClassName(name)) return GlobalVerdict::kAllow;
  }
  if (Contains(kFunctionModules, module)) return GlobalVerdict::kAllow;
  return GlobalVerdict::kUnknown;
}

GlobalVerdict ScriptGlobalVerdict(std::string_view module, std::string_view name) {
  if (module == "__torch__" || module.starts_with("__torch__.")) return GlobalVerdict::kAllow;
  if (module == "torch.jit._pickle") return GlobalVerdict::kAllow;
  return TorchGlobalVerdict(module, name);
}

std::optional<DType> DTypeOfStorage(std::string_view global) {
  for (const ElementType &type : kElementTypes) {
    if (LastPart(global) == type.storage) return type.dtype;
  }
  return std::nullopt;
}

std::optional<DType> DTypeOfName(std::string_view global) {
  for (const ElementType &type : kElementTypes) {
    if (!type.name.empty() && LastPart(global) == type.name) return type.dtype;
  }
  return std::nullopt;
}

std::string_view StorageOf(DType dtype) {
  for (const ElementType &type : kElementTypes) {
    if (type.dtype == dtype) return type.storage;
  }
  throw Error(Status::kUnsupported, std::string("torch.save's format has no storage for ") + NameOf(dtype) +
                                        ": convert the tensor, or write safetensors");
}

}  // namespace trainyard
