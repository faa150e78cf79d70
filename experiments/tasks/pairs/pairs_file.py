"""The built-in set of sentence pairs with graded similarity; make_pairs.py says where the scores come from."""

from pathlib import Path

from walras.errors import UnknownNameError
from walras.experiments.tasks.data.glue_table import SPLITS
from walras.experiments.tasks.data.rows import Example, tsv_rows

PAIRS = Path(__file__).parent / "pairs.tsv"


def read_pairs(split: str) -> list[Example]:
    """All pairs of a split ("train": 800, "dev": 500) with scores from 0 (unrelated) to 5 (same meaning).

    Raises:
        UnknownNameError: an unknown split.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    rows = [row for _, row in tsv_rows(PAIRS) if row["split"] == split]
    return [Example(str(row["sentence1"]), str(row["sentence2"]), float(str(row["score"]))) for row in rows]
