// Real PyTorch scripts: DDP with gloo on two simulated nodes, started process by process and by torchrun per node.
#include "runner/torch_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

// Trains a little, each rank on its own data; prints a digest of the weights. "exit RANK CODE" and "raise RANK" break
// it.
constexpr char kScript[] = R"(
import hashlib, os, sys, time
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
assert rank == int(os.environ["RANK"]) and dist.get_world_size() == int(os.environ["WORLD_SIZE"])
torch.manual_seed(rank)
model = DistributedDataParallel(torch.nn.Linear(8, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(1000000 if len(sys.argv) > 1 else 5):
    if step == 3 and sys.argv[1:3] == ["exit", str(rank)]:
        os._exit(int(sys.argv[3]))
    if step == 3 and sys.argv[1:3] == ["raise", str(rank)]:
        raise ValueError("bad batch")
    optimizer.zero_grad()
    model(torch.randn(16, 8)).pow(2).mean().backward()
    optimizer.step()
weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
words = ["weights", rank, os.environ["LOCAL_RANK"], os.environ["MASTER_PORT"], hashlib.sha256(weights).hexdigest()]
os.write(1, (" ".join(map(str, words)) + "\n").encode())  # at once: under torchrun two ranks share a log
dist.destroy_process_group()
)";

class TorchTest : public TorchFixture {
 protected:
  void SetUp() override {
    TorchFixture::SetUp();
    Script("ddp.py", kScript);
  }
};

TEST_F(TorchTest, ProcessByProcess) {
  Distribution distribution = Distribution::PyTorch(4, 2);
  distribution.SetBackend("Gloo");
  ExpectOneModel(Run(Python({"ddp.py"}, distribution)), 4);
}

TEST_F(TorchTest, TorchrunPerNode) {
  const std::string torchrun = ParentPath(python_) + "/torchrun";
  Job job = PerNode({}, {"ddp.py"});
  job.command[0] = torchrun;
  ExpectOneModel(Run(job), 2);
}

TEST_F(TorchTest, TheModuleBehindTorchrunPerNode) {
  ExpectOneModel(Run(PerNode({"-m", "torch.distributed.run"}, {"ddp.py"})), 2);
}

TEST_F(TorchTest, TheOldLauncherWithAPortOfItsOwn) {
  Job job = PerNode({"-m", "torch.distributed.launch", "--use_env"}, {});
  job.command.insert(job.command.end(), {"--master_port=16123", "ddp.py"});
  ExpectOneModel(Run(job), 2, "16123");
}

TEST_F(TorchTest, AShellLineExpandsByItself) {
  Job job = PerNode({}, {});
  job.command.clear();
  job.shell_command =
      python_ +
      " -m torch.distributed.run --nnodes=$AZUREML_NODE_COUNT --nproc_per_node=2 --node_rank $NODE_RANK "
      "--master_addr ${MASTER_ADDR} --master_port ${MASTER_PORT} ddp.py";
  ExpectOneModel(Run(job), 2);
}

TEST_F(TorchTest, TheExitCodeOfARankIsNamed) {
  for (const Job &job : {Python({"ddp.py", "exit", "3", "7"}, Distribution::PyTorch(4, 2)),
                         PerNode({"-m", "torch.distributed.run"}, {"ddp.py", "exit", "3", "7"})}) {
    const RunRecord run = Run(job);
    EXPECT_EQ(run.state, RunState::kFailed);
    EXPECT_EQ(run.error.rank, 3) << run.error.message << "\n" << run.error.stderr_tail;
    EXPECT_EQ(run.error.exit_code, 7);
    EXPECT_EQ(run.error.node, "node1");
    EXPECT_EQ(ProcessesOf(run.id), 0u);
  }
}

TEST_F(TorchTest, TheRankThatRaisedIsNamed) {
  for (const Job &job : {Python({"ddp.py", "raise", "2"}, Distribution::PyTorch(4, 2)),
                         PerNode({"-m", "torch.distributed.run"}, {"ddp.py", "raise", "2"})}) {
    const RunRecord run = Run(job);
    EXPECT_EQ(run.error.rank, 2) << run.error.message << "\n" << run.error.stderr_tail;
    EXPECT_EQ(run.error.exit_code, 1);
    EXPECT_THAT(run.error.message, HasSubstr("ValueError: bad batch"));
    EXPECT_EQ(ProcessesOf(run.id), 0u);
  }
}

}  // namespace
}  // namespace trainyard
