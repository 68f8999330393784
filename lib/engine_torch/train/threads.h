// How many CPU threads an operation of LibTorch is shared between, by thread. Thread rule: any thread.
#pragma once

namespace trainyard {

// For what this thread computes from now on, whatever other threads set meanwhile.
void SetComputeThreads(int count);

}  // namespace trainyard
