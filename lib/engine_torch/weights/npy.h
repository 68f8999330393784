// NumPy's .npy files: one array each, as numpy.save writes them. Reads what is an array of numbers in C order and
// executes nothing. Thread rule: a function, may run concurrently.
#pragma once

#include <filesystem>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

// A contiguous tensor without a name, whose data lies in `bytes`; `path` is used in messages only. Throws kCorrupt
// (truncated: details expected_bytes and present_bytes) or kUnsupported (another kind of file, Python objects, text,
// dates, complex numbers, big-endian, Fortran's order), each with what to do.
NamedTensor ParseNpy(Bytes bytes, const std::filesystem::path &path);

}  // namespace trainyard
