"""TextPruner (Yang et al. 2022, arXiv 2203.15996), as released: it needs transformers 4, so a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from walras.errors import WalrasError
from walras.experiments.benchmarks.peers import peer_textpruner_script
from walras.experiments.benchmarks.peers.peer import Case, Peer, counted_macs, ratios
from walras.models import compact, inventory
from walras.models.objective import inputs_of

PACKAGES = (
    "textpruner==1.1.post2 transformers==4.57.6 tokenizers==0.22.2 huggingface-hub==0.36.2 sentencepiece "
    "requests charset-normalizer idna urllib3 certifi"
)
ITERATIONS = 16  # the most that its authors report, and their best
ALIKE = 1e-4  # largest difference of hidden states between its cut model and ours


@final
@dataclass(frozen=True)
class TextPruner(Peer):
    """Its iterative pruning by |weight * gradient|; layers may keep different numbers of heads and neurons."""

    folder: Path | None
    iterations: int = ITERATIONS
    name: ClassVar[str] = "textpruner"

    def missing(self) -> str:
        """How to fill its directory, where that is not done."""
        where = "DIR" if self.folder is None else str(self.folder)
        if self.folder is not None and (self.folder / "textpruner").is_dir():
            return ""
        return f"no textpruner in --textpruner {where}: pip install --target {where} --no-deps {PACKAGES}"

    def smaller(self, case: Case, macs: float) -> nn.Module:
        """The dense model without the heads and neurons that TextPruner removed.

        It takes whole numbers of heads and neurons a layer on average, and cuts without touching other weights.

        Raises:
            WalrasError: its process failed, or our cut model computes something else than its own.
        """
        units = inventory(case.model, block=1)
        widest = [int(max(units.index[units.kind == kind])) + 1 for kind in ("head", "ffn")]

        def sizes(heads: float, ffn: float) -> tuple[int, int]:
            return max(1, round((1 - heads) * widest[0])), max(1, round((1 - ffn) * widest[1]))

        @cache
        def evenly(heads: int, neurons: int) -> float:
            keep = units.index < [heads if kind == "head" else neurons for kind in units.kind]
            return counted_macs(compact(case.model, units, keep), case.length)

        found = self._run(case, *sizes(*ratios(lambda h, f: evenly(*sizes(h, f)), macs)))
        keep = torch.cat([row for pair in zip(found["heads"], found["neurons"], strict=True) for row in pair])
        small = compact(case.model, units, keep)
        with torch.no_grad():
            first = inputs_of(case.batches[0])
            apart = float((small(**first).last_hidden_state - found["hidden"]).abs().max())
        if not apart <= ALIKE:
            raise WalrasError(f"textpruner's cut model and ours differ by {apart:.2g} in a hidden state")
        return small

    def _run(self, case: Case, heads: int, neurons: int) -> dict[str, Tensor]:
        """`heads` bool [layers, heads], `neurons` bool [layers, neurons], `hidden` of the first batch."""
        with tempfile.TemporaryDirectory() as folder:
            batches, out = Path(folder) / "batches.pt", Path(folder) / "out.pt"
            torch.save([dict(batch) for batch in case.batches], batches)
            _call([case.source, str(batches), str(heads), str(neurons), str(self.iterations), str(out)], self.folder)
            found: dict[str, Tensor] = torch.load(out, weights_only=True)
            return found


def _call(arguments: Sequence[str], folder: Path | None) -> None:
    """Run the script with the directory's packages before our own."""
    script = str(peer_textpruner_script.__file__)
    done = subprocess.run(
        [sys.executable, "-P", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-3:])
        raise WalrasError(f"textpruner's process ended with exit code {done.returncode}: {last}")
