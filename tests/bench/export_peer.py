"""torch.onnx.export of torchvision's ResNet-50, for bench_export: answers each line ("default" or "script") with the seconds from the
weights on disk to the file.

usage: export_peer.py <weights.safetensors>
"""
import contextlib
import io
import os
import sys
import tempfile
import time
import warnings

import torch
import torchvision
from safetensors.torch import load_file

warnings.filterwarnings("ignore")
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what the exporters print is no answer
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "m.onnx")
    for line in iter(sys.stdin.readline, ""):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            start = time.monotonic()
            model = torchvision.models.resnet50().eval()
            model.load_state_dict(load_file(sys.argv[1]))
            images = torch.randn(2, 3, 224, 224)
            if line.strip() == "script":
                torch.onnx.export(model, (images,), path, dynamo=False, opset_version=17, input_names=["images"], output_names=["logits"],
                                  dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}})
            else:
                torch.onnx.export(model, (images,), path, input_names=["images"], output_names=["logits"], external_data=False,
                                  dynamic_shapes=({0: torch.export.Dim("batch")},))
            seconds = time.monotonic() - start
        answers.write(f"{seconds:.6f}\n")
