"""Two processes on one machine (gloo) settle on the units, the price and the weights of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
import json, sys, torch
from pathlib import Path
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer, TrainingArguments
import walras
from tests.experiments.training.price.conftest import SETTINGS, SIZES, rows

class Own(Trainer):  # a mean over each process's rows, as the loss of BERT is
    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.model_accepts_loss_kwargs = False

out, pricing, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.manual_seed(0)
config = AutoConfig.for_model("bert", **SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
model = AutoModelForSequenceClassification.from_config(config).double()
arguments = TrainingArguments(
    out, max_steps=12, per_device_train_batch_size=size, gradient_accumulation_steps=int(sys.argv[4]), use_cpu=True,
    report_to=[], save_strategy="no", learning_rate=1e-3, disable_tqdm=True, ddp_find_unused_parameters=False,
)
callback = walras.PriceCallback(**SETTINGS, pricing=pricing)
training = Own(model, arguments, train_dataset=rows(64), callbacks=[callback])
training.train()
print(type(training.model_wrapped).__name__)
if training.args.should_save:
    training.save_model(out)
    told = {**callback.price.figures(), "keep": callback.price.keep.int().tolist()}
    (Path(out) / "price.json").write_text(json.dumps(told))
"""


@pytest.mark.nightly
@pytest.mark.parametrize("pricing", ["cleared", "shadow-price"])
def test_the_same_as_one_process(pricing: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[4]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(root)}
    for processes in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        line = [sys.executable, *(launch if processes > 1 else []), str(script), str(tmp_path / str(processes))]
        line += [pricing, "2", str(2 // processes)]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert ("DistributedDataParallel" in done.stdout) == (processes > 1)
    one, two = (json.loads((tmp_path / name / "price.json").read_text()) for name in ("1", "2"))
    assert one.pop("keep") == two.pop("keep")
    assert one == pytest.approx(two, rel=1e-4)
    weights, others = (load_file(tmp_path / name / "model.safetensors") for name in ("1", "2"))
    for name, tensor in weights.items():  # no loss depends on the biases of keys: what moves them is rounding
        tolerance = 1e-2 if name.endswith("key.bias") else 1e-5
        assert torch.allclose(tensor, others[name], atol=tolerance), name
