// Scripts of PyTorch Lightning and Accelerate, which look for themselves how they were started: four ranks on two
// simulated nodes, process by process and by torchrun per node (scripts/python-frameworks.sh).
#include "runner/torch_fixture.h"

namespace trainyard {
namespace {

// The end of both scripts; each rank starts with weights of its own.
constexpr char kReport[] = R"(
weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
words = ["weights", rank, os.environ["LOCAL_RANK"], os.environ["MASTER_PORT"], hashlib.sha256(weights).hexdigest()]
os.write(1, (" ".join(map(str, words)) + "\n").encode())
)";

constexpr char kLightning[] = R"(
import hashlib, os
import lightning, torch

class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 4)
    def training_step(self, batch, index):
        return self.layer(batch[0]).pow(2).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

torch.manual_seed(int(os.environ["RANK"]))
model = Model()
data = torch.utils.data.TensorDataset(torch.randn(64, 8))
trainer = lightning.Trainer(accelerator="cpu", strategy="ddp", devices=2, num_nodes=2, max_epochs=1, logger=False,
                            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=4))
assert trainer.world_size == 4 and trainer.global_step == 4, (trainer.world_size, trainer.global_step)
rank = trainer.global_rank
)";

constexpr char kAccelerate[] = R"(
import hashlib, os
import accelerate, torch

accelerator = accelerate.Accelerator(cpu=True)
assert accelerator.num_processes == 4, accelerator.state
torch.manual_seed(accelerator.process_index)
model = torch.nn.Linear(8, 4)
data = torch.utils.data.TensorDataset(torch.randn(64, 8))
model, optimizer, loader = accelerator.prepare(
    model, torch.optim.SGD(model.parameters(), lr=0.1), torch.utils.data.DataLoader(data, batch_size=4))
steps = 0
for (batch,) in loader:
    optimizer.zero_grad()
    accelerator.backward(model(batch).pow(2).mean())
    optimizer.step()
    steps += 1
assert steps == 4, steps
rank = accelerator.process_index
)";

struct Case {
  const char *name, *script;
};

class FrameworksTest : public TorchFixture, public testing::WithParamInterface<Case> {
 protected:
  FrameworksTest() : TorchFixture("TRAINYARD_PYTHON_FRAMEWORKS") {}
  void SetUp() override {
    TorchFixture::SetUp();
    Script("train.py", (std::string(GetParam().script) + kReport).c_str());
  }
};

TEST_P(FrameworksTest, ProcessByProcess) {
  ExpectOneModel(Run(Python({"train.py"}, Distribution::PyTorch(4, 2))), 4);
}

TEST_P(FrameworksTest, TorchrunPerNode) {
  ExpectOneModel(Run(PerNode({"-m", "torch.distributed.run"}, {"train.py"})), 2);
}

INSTANTIATE_TEST_SUITE_P(Scripts, FrameworksTest,
                         testing::Values(Case{"Lightning", kLightning}, Case{"Accelerate", kAccelerate}),
                         [](const auto &info) { return info.param.name; });

}  // namespace
}  // namespace trainyard
