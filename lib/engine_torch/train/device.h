// Which device a model runs on. Thread-safe.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace trainyard {

// "auto" (the first GPU when there is one, else the CPU), "cpu", "cuda" or "cuda:N". Throws kInvalidArgument for
// another text, kUnsupported when there is no such GPU.
c10::Device ChooseDevice(const std::string &name);

}  // namespace trainyard
