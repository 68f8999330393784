// The two ranks that the tests of this folder run on: each test runs on both at once. main.cc makes them. A test that
// leaves one rank early leaves the other one waiting: questions to both come before assertions. Thread rule: the main
// thread.
#pragma once

#include "engine_torch/parallel/ranks.h"

namespace trainyard {

Ranks &TwoRanks();
inline Collective &Together() {
  return *TwoRanks().collective();
}
// What differs by rank: `first` on rank 0, `second` on rank 1.
template <typename Value>
Value ByRank(Value first, Value second) {
  return TwoRanks().rank() == 0 ? first : second;
}

}  // namespace trainyard
