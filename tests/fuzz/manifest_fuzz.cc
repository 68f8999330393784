// Manifests of images: whatever comes is read, or refused with an Error; what was read keeps the promises of its
// header. Single-threaded.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine_torch/image/manifest.h"
#include "fuzz/fuzz.h"
#include "util/error.h"

using namespace trainyard::image;

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  // The first byte tells the format.
  corpus->seeds = {
      "cpath,label\na.jpg,ants\nb.jpg,bees\n",
      "c\xEF\xBB\xBFpath,labels,split,weight,note\r\n\"a, "
      "\"\"b\"\".jpg\",x;y,train,2.5,\"two\r\nlines\"\r\nb,,val,,\r\n",
      "j{\"path\":\"a.jpg\",\"label\":\"ants\"}\n\n{\"path\":\"b.jpg\",\"label\":[\"x\",\"y\"],\"weight\":1e3}\n",
      "j{\"path\":\"a.jpg\",\"labels\":-1.5,\"split\":\"test\",\"other\":{\"deep\":[[]]}}"};
  corpus->dictionary = {"path",       "label",   "labels",       "split", "weight", "train", "val",
                        "validation", "test",    "\"\"",         "\r\n",  ",",      ";",     "NaN",
                        "1e999",      "\\u0000", "\xEF\xBB\xBF", "\xff",  "://"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char *>(data) + 1, size - 1);
  const ManifestFormat format = data[0] == 'j' ? ManifestFormat::kJsonLines : ManifestFormat::kCsv;
  const ManifestLimits limits = {.row_bytes = 4096, .rows = 100};
  try {
    const Manifest manifest = ParseManifest(text, format, "/d/fuzz", limits);
    if (manifest.rows.empty() || manifest.rows.size() > limits.rows) std::abort();
    size_t line = 0;
    for (const ManifestRow &row : manifest.rows) {
      const bool fine = !row.path.empty() && row.path.front() == '/' && row.path.find('\0') == std::string::npos &&
                        (row.listed || row.labels.size() == 1) && std::isfinite(row.weight) && row.weight >= 0 &&
                        (row.split != Split::kNone) == manifest.has_splits && row.line > line;
      if (!fine) std::abort();
      line = row.line;
    }
  } catch (const trainyard::Error &) {
  }
  return 0;
}
