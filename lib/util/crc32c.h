// CRC-32C (Castagnoli), as record files of TensorFlow and TensorBoard use it. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trainyard {

uint32_t Crc32c(const void *data, size_t size, uint32_t start = 0);

}  // namespace trainyard
