// PNG through libpng. Internal to image.cc.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "engine_torch/image/image.h"

namespace trainyard::image {

std::unique_ptr<FormatReader> OpenPng(std::span<const uint8_t> data, const std::string &name);

}  // namespace trainyard::image
