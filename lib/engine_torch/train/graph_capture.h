// What records the work that a device is given, and repeats it without the host's part: CUDA graphs. The CUDA half of
// the engine (engine_torch/cuda) says how; without it there is none, and steps are done one by one. Thread rule: a
// GraphCapture belongs to one thread at a time; the functions may be called from any.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <functional>
#include <memory>

namespace trainyard {

class GraphCapture {
 public:
  virtual ~GraphCapture() = default;

  // Does `work` on a stream of its own: after what was started before, before what is started afterwards. Capturing
  // wants that of the steps before it: what they allocate and choose once belongs to no default stream.
  virtual void OnSideStream(const std::function<void()> &work) = 0;
  // Records what `work` starts on the device, without doing it. Throws what `work` throws, and c10::Error when
  // something in it cannot be recorded; nothing is recorded then.
  virtual void Record(const std::function<void()> &work) = 0;
  // Does what was recorded, after what was started before.
  virtual void Replay() = 0;
};

using MakeGraphCapture = std::unique_ptr<GraphCapture> (*)(c10::Device);

// Once, before training begins.
void SetGraphCapture(MakeGraphCapture make);
// nullptr where work cannot be recorded.
std::unique_ptr<GraphCapture> NewGraphCapture(c10::Device device);

}  // namespace trainyard
