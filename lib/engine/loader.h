// Loads the engine plug-in and, before it, LibTorch: by absolute path, once in a process, never unloaded. Thread-safe.
#pragma once

#include "engine/engine.h"

namespace trainyard {

// The engine, loaded on first use. LibTorch is looked for in TRAINYARD_TORCH_DIR, then in <runtime
// directory>/torch/lib, then where <runtime directory>/torch.path says. A LibTorch that the process has already is used
// when it has the engine's version and is the same file or the only one, and refused otherwise. Error kEngine with
// every path tried; a failure is remembered.
const ty_engine &LoadEngine();

// Throws the Error an engine function reported and frees it; nothing for status 0.
void CheckEngine(const ty_engine &engine, int32_t status, ty_engine_error *error);

}  // namespace trainyard
