"""How fast an exported decoder generates and reads prompts: beside the dense one, and beside what its MACs promise.

    python -m walras.experiments.benchmarks.speed.decoder_speed EXPORT ... --model DENSE --out decoder_speed.csv

Two rows an export or run, at batch 1: `generate` is greedy generation of 128 tokens from a prompt of one, `prompt` a
pass over 512 tokens that fills a cache, of which the last one's logits alone are computed. The dense decoder, the dense
one again and the small one take turns, and the shortest of the passes counts; `aa` is the dense decoder's time over its
own. `ideal` is the ratio of multiply-accumulates, the head's included, `share` the speed-up as a share of it, and
`weights` the ratio of the numbers that weights have: at batch 1 every one of them is read for every token. Finished
rows are not measured again.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from torch import nn

from walras.errors import InputError, WalrasError
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.benchmarks.speed.export_speed import Pair, pair, tokens
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.pipeline import parameters
from walras.files.writing import write_whole
from walras.models import inventory, macs
from walras.models.resources.timing import interleaved

GENERATE, PROMPT = "generate", "prompt"
COLUMNS = [
    "name", "model", "what", "tokens", "threads", "dense_ms", "small_ms", "aa", "speedup", "ideal", "share", "weights",
    "dense_macs", "macs", "passes",
]  # fmt: skip
_NEVER = 2**30  # no token ends a text: all generate as many


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of exports or of runs.")],
    model: Annotated[str | None, typer.Option(help="Dense decoder of exports; runs know theirs.")] = None,
    new: Annotated[int, typer.Option(help="Tokens to generate.", min=1)] = 128,
    prompt: Annotated[int, typer.Option(help="Tokens of the prompt.", min=1)] = 512,
    passes: Annotated[int, typer.Option(help="Timed passes of each decoder.", min=1)] = 5,
    out: Annotated[Path, typer.Option(help="CSV file to write, and NAME_cells.jsonl.")] = Path(
        "runs/decoder_speed.csv"
    ),
) -> None:
    """Measure what is missing, print the table, write it as CSV after every row."""
    file = out.with_name(f"{out.stem}_cells.jsonl")
    try:
        rows = read_rows(file)
        with progress_bar() as progress:
            step = progress.add_task("Timing", total=2 * len(folders))
            for folder in folders:
                keys = [key_of(folder, what, count) for what, count in ((GENERATE, new), (PROMPT, prompt))]
                missing = [key for key in keys if not any(key.items() <= row.items() for row in rows)]
                case = pair(folder, model) if missing else None
                for key in keys:
                    if case is not None and key in missing:
                        rows.append({**key, **measure(case, key["what"], key["tokens"], passes)})
                        write_rows(file, rows)
                        write_whole(out, table(rows).to_csv(index=False, float_format="%.6g"))
                    progress.update(step, advance=1, description=f"{folder.name}, {key['what']}")
    except WalrasError as error:
        fail(error)
    output().print(table(rows).T.to_string(header=False))


def key_of(folder: Path, what: str, count: int) -> dict[str, Any]:
    """What tells a row from others."""
    return {"name": folder.name, "what": what, "tokens": count, "threads": torch.get_num_threads()}


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A line a row."""
    return pd.DataFrame(rows, columns=COLUMNS)


def measure(case: Pair, what: str, count: int, passes: int) -> dict[str, Any]:
    """The figures of one row.

    Raises:
        InputError: networks that are no decoders.
    """
    first, second, took = interleaved([work(m, what, count) for m in (case.dense, case.dense, case.small)], passes)
    compute = [decoder_macs(m, what, count) for m in (case.dense, case.small)]
    speedup, ideal = first / took, compute[0] / compute[1]
    return {
        "model": case.model, "dense_ms": first * 1e3, "small_ms": took * 1e3, "aa": second / first, "speedup": speedup,
        "ideal": ideal, "share": speedup / ideal, "weights": parameters(case.dense) / parameters(case.small),
        "dense_macs": compute[0], "macs": compute[1], "passes": passes,
    }  # fmt: skip


def work(model: Any, what: str, count: int) -> Callable[[], object]:
    """What is timed of a decoder."""
    head(model)
    batch = tokens(model, 1, 1 if what == GENERATE else count, next(model.parameters()).device)
    if what == GENERATE:
        return lambda: model.generate(**batch, do_sample=False, use_cache=True, max_new_tokens=count,
                                      eos_token_id=_NEVER)  # fmt: skip
    return lambda: model(**batch, use_cache=True, logits_to_keep=1)


def decoder_macs(model: nn.Module, what: str, count: int) -> float:
    """Multiply-accumulates of that work: a token costs the maps, and scores and mixing of as many as it looks at.

    A pass over a prompt computes the scores of all pairs, those that the mask hides as well.
    """
    units = inventory(model, block=1)
    once, twice = (macs(model, units, length).dense for length in (1, 2))
    pair_ = twice / 2 - once  # of scores and mixing of one token with one; twice = 2 maps + 4 pairs
    maps = once - pair_
    if what == PROMPT:
        return count * maps + count * count * pair_ + head(model)
    return count * (maps + head(model)) + count * (count + 1) / 2 * pair_


def head(model: nn.Module) -> int:
    """Multiply-accumulates of a decoder's logits for one token.

    Raises:
        InputError: no decoder.
    """
    ask: Any = getattr(model, "get_output_embeddings", lambda: None)
    found = ask()
    if found is None:
        raise InputError(f"{type(model).__name__} is no decoder; give an export of one, and --model with its head")
    return int(found.weight.numel())


if __name__ == "__main__":
    typer.run(main)
