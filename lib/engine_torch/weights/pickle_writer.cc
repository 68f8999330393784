#include "engine_torch/weights/pickle_writer.h"

#include <bit>
#include <limits>

#include "engine_torch/weights/bytes.h"
#include "util/text.h"

namespace trainyard {

// The shortest of the forms that Python itself uses.
void PickleWriter::Int(int64_t value) {
  if (value >= 0 && value <= 0xff) {
    bytes_ += 'K';
    Raw(static_cast<uint8_t>(value));
  } else if (value >= 0 && value <= 0xffff) {
    bytes_ += 'M';
    Raw(static_cast<uint16_t>(value));
  } else if (value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max()) {
    bytes_ += 'J';
    Raw(static_cast<int32_t>(value));
  } else {
    bytes_ += "\x8a\x08";  // LONG1 of 8 bytes, two's complement
    Raw(value);
  }
}

void PickleWriter::Float(double value) {
  bytes_ += 'G';  // the one big-endian number in the format
  Raw(__builtin_bswap64(std::bit_cast<uint64_t>(value)));
}

void PickleWriter::String(std::string_view text) {
  if (!IsValidUtf8(text) || text.size() > std::numeric_limits<uint32_t>::max())
    throw Error::InvalidArgument("'" + Printable(text) + "' cannot be written for Python: it is no UTF-8 text");
  bytes_ += 'X';
  Raw(static_cast<uint32_t>(text.size()));
  bytes_ += text;
}

void PickleWriter::Global(std::string_view module, std::string_view name) {
  std::string line(module);
  line.append("\n").append(name).append("\n");
  const auto next = static_cast<uint32_t>(global_indices_.size());
  const auto [known, fresh] = global_indices_.emplace(line, next);
  if (fresh) bytes_ += 'c' + line;
  bytes_ += fresh ? 'r' : 'j';  // LONG_BINPUT, LONG_BINGET
  Raw(known->second);
}

}  // namespace trainyard
