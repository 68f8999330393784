#include "store/metric_gate.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "util/clock.h"
#include "util/error.h"

namespace trainyard {

void MetricGate::Enter() {
  if (!fd_.valid()) fd_ = OpenFile(path_, O_RDWR | O_CREAT);
  while (flock(fd_.get(), LOCK_SH) != 0) {
    if (errno != EINTR) throw Error::FromErrno(errno, "lock", path_);
  }
}

bool MetricGate::Close(int64_t patience_ms) {
  constexpr useconds_t kPauseUs = 1000;
  if (!fd_.valid()) fd_.Reset(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd_.valid()) return false;
  const int64_t start = MonotonicMs();
  while (flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (MonotonicMs() - start >= patience_ms) return false;
    usleep(kPauseUs);
  }
  return true;
}

void MetricGate::Leave() {
  if (fd_.valid()) flock(fd_.get(), LOCK_UN);
}

}  // namespace trainyard
