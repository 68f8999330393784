// The rank to blame when it leaves last (blame_fixture.h), with one torchrun per node: the victims end at once, so each
// torchrun names one of them as the first.
#include "runner/blame_fixture.h"
#include "runner/torch_fixture.h"

namespace trainyard {
namespace {

class BlameTorchrunTest : public BlameFixture<TorchFixture> {};

TEST_F(BlameTorchrunTest, TheRankThatBrokeItIsNamed) {
  // In a file: in an argument $RANK would be that of the node's command.
  Script("worker.sh",
         "say() { for line in 'Traceback (most recent call last):' \"  File 't.py'\" \"$1\"; do\n"
         "  echo \"[rank$RANK]: $line\" >&2; done; }\n"
         "[ $RANK = 2 ] && { say 'ValueError: bad batch'; sleep 2; exit 1; }\n"
         "sleep 0.5; say 'RuntimeError: Connection closed by peer'; exit 1\n");
  const Job job = PerNode({"-m", "torch.distributed.run"}, {"--no-python", "sh", "worker.sh"});
  // A torchrun takes seconds to come up: TRAINYARD_BLAME_RUNS=100 takes five minutes.
  ExpectRankTwoNamed("torchrun", 20, [&](int32_t) { return job; });
}

}  // namespace
}  // namespace trainyard
