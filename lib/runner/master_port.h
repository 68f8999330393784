// The run's MASTER_PORT: one that nobody listens on now and that no other run of this user on this machine has got.
// Held by flock on <machine directory>/ports/<port> (compute/machine.h), so a killed run gives it back. Nothing can
// keep a stranger from taking it before rank 0 does: then Move. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "util/fs.h"

namespace trainyard {

class MasterPort {
 public:
  static constexpr int32_t kFirst = 6105;  // Azure ML's

  // `wanted` 0: kFirst when it is free, else the next free one. Throws Error kBusy ("port_in_use") when the wanted one
  // is taken, or all are.
  MasterPort(std::string directory, int32_t wanted);

  int32_t number() const { return number_; }
  bool chosen_here() const { return wanted_ == 0; }
  // Another one, when it was chosen here.
  void Move();

 private:
  bool Take(int32_t port);

  const std::string directory_;
  const int32_t wanted_;
  int32_t number_ = 0;
  UniqueFd lock_;
};

}  // namespace trainyard
