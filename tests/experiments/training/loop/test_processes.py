"""Two processes on one machine (gloo) train the network that one process does, and only one of them writes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

OPTIONS = (
    "--task", "sst2", "--device", "cpu", "--batch-size", "4", "--held-out", "0", "--epochs", "2", "--block", "16",
    "--length", "16", "--budget", "0.5", "--rate", "0.001", "--sentences", "8",
)  # fmt: skip

# Who measures latency says so.
SCRIPT = """
import sys
from walras.experiments.training import train
latency = train.forward_times
train.forward_times = lambda *given: print("timing", file=sys.stderr) or latency(*given)
from walras.experiments.cli.main import main
main()
"""


@pytest.mark.nightly
def test_two_processes(models: Path, glue: Path, tmp_path: Path) -> None:
    model = tmp_path / "bert"
    shutil.copytree(models / "bert", model)
    config = json.loads((model / "config.json").read_text())
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # else each process draws its own
    (model / "config.json").write_text(json.dumps({**config, **still}))
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    for processes in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        arguments = [
            "train",
            "--model",
            str(model),
            "--data",
            str(glue),
            *OPTIONS,
            "--out",
            str(tmp_path / f"{processes}"),
        ]
        line = [sys.executable, *(launch if processes > 1 else []), str(script), *arguments]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("latency, 32 x 16") == 1, done.stdout
        assert done.stderr.count("timing\n") == 1, done.stderr
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("1", "2"))
    assert one.keys() == two.keys()
    for tensor in one:  # no loss depends on the biases of keys: what moves them is rounding, which Adam enlarges
        tolerance = 1e-3 if tensor.endswith("key.bias") else 1e-4
        assert torch.allclose(one[tensor], two[tensor], rtol=0, atol=tolerance), tensor
    start = load_file(model / "model.safetensors")
    name = next(n for n in one if n.endswith("word_embeddings.weight"))
    assert not torch.allclose(one[name], start[name.removeprefix("bert.")], atol=1e-4)  # it did learn
