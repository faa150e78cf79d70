"""Names of cells: the same everywhere, and different for whatever could make a run differ."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, fields
from hashlib import sha256
from typing import Any

from walras.experiments.config import RunConfig
from walras.experiments.grids.cell import Cell
from walras.experiments.recipes import resolved

GIVEN: dict[str, Any] = {"recipe": "michel", "budget": 0.6, "seed": 3, "data": "Größe/€.txt", "model": "m"}


def test_another_process_with_another_hash_seed_gives_the_same_name() -> None:
    code = (
        "from walras.experiments.grids.cell import Cell\nfrom walras.experiments.recipes import resolved\nimport sys\n"
        f"print(Cell('michel', resolved({GIVEN!r})).key)\nassert 'torch' not in sys.modules\n"
    )
    names = set()
    for seed in ("0", "4321"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        names.add(done.stdout.strip())
    assert names == {Cell("michel", resolved(GIVEN)).key}


def test_name_by_hand() -> None:
    config = resolved(GIVEN)
    text = "{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in sorted(asdict(config).items())) + "}"
    assert Cell("michel", config).key == sha256(text.encode()).hexdigest()[:16]


def test_every_setting_makes_another_name() -> None:
    names = {Cell("x", RunConfig()).key}
    for field in fields(RunConfig):
        config = RunConfig()
        object.__setattr__(config, field.name, "another")  # whether or not a run would take it
        names.add(Cell("x", config).key)
    assert len(names) == 1 + len(fields(RunConfig))
