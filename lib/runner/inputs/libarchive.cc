#include "runner/inputs/libarchive.h"

#include <dlfcn.h>

#include <string>

#include "util/error.h"

namespace trainyard {
namespace {

template <typename Function>
void Resolve(void *library, const char *name, Function *out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  if (*out == nullptr) throw Error(Status::kRuntime, std::string("libarchive has no function ") + name);
}

Libarchive Load() {
  void *library = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(Status::kRuntime,
                std::string("cannot load libarchive to unpack an input: ") + dlerror() + "; install libarchive13");
  }
  Libarchive functions{};
#define TRAINYARD_RESOLVE(name) Resolve(library, "archive_" #name, &functions.name);
  TRAINYARD_LIBARCHIVE_FUNCTIONS(TRAINYARD_RESOLVE)
#undef TRAINYARD_RESOLVE
  Resolve(library, "archive_errno", &functions.error_number);
  return functions;
}

}  // namespace

const Libarchive &GetLibarchive() {
  static const Libarchive functions = Load();
  return functions;
}

}  // namespace trainyard
