#include <dlfcn.h>

#include "engine_torch/cuda/cuda_half.h"
#include "util/build_id.h"
#include "util/fs.h"

namespace trainyard {

std::string LoadCudaHalf(const std::string &directory) {
  const std::string path = JoinPath(directory, kCudaHalfLibrary);
  if (!PathExists(path)) return "'" + path + "' is not there";
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char *why = dlerror();
    return why == nullptr ? "'" + path + "' cannot be loaded" : why;
  }
  const auto entry = reinterpret_cast<const CudaHalf *(*)()>(dlsym(library, kCudaHalfSymbol));
  if (entry == nullptr || std::string(entry()->build_id) != BuildId()) return "'" + path + "' is of another build";
  SetGraphCapture(entry()->new_graph_capture);
  SetGpuCollective(entry()->new_collective);
  return "";
}

}  // namespace trainyard
