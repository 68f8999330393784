// A caching allocator for LibTorch's CPU tensors: a training step frees and wants the same large blocks again and
// again, which malloc gives back to the kernel and fetches anew, page by page. Thread-safe.
#pragma once

namespace trainyard {

// Makes it LibTorch's CPU allocator, for the rest of the process. Only for a process whose LibTorch is this library's
// own. Calling it again does nothing.
void InstallCachingAllocator();

}  // namespace trainyard
