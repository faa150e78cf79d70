"""Pictures and speech without training: DINOv2-small on Fashion-MNIST, and the encoder of whisper-tiny.en on prompts.

    apt-get download asterisk-core-sounds-en-wav asterisk-core-sounds-en && for f in *.deb; do dpkg -x $f sounds; done
    python -P -m walras.experiments.benchmarks.senses pictures --model DINOV2 --data FASHION-MNIST
    python -P -m walras.experiments.benchmarks.senses speech --model WHISPER --data sounds

A figure that is in the file of rows already is not measured again, so that a command goes on where it was ended. The
speech is real: 8 kHz recordings of one speaker, CC BY-SA 3.0, with what is said in them; Whisper was not trained to
hear telephones.
"""

import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
import typer
from torch import nn

from walras.errors import InputError, WalrasError
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.pipeline import run_plan
from walras.experiments.plan import Plan
from walras.experiments.progress import Progress
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.data import TaskData
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.audio import Audio
from walras.files.contents import read_bytes
from walras.files.writing import write_whole

RESULTS = Path(__file__).parent / "results"
TASKS = {
    "pictures": {"task": "images:size=112,train=5000,test=2000,k=5", "sentences": 512, "batch_size": 32},
    "speech": {"task": "audio:least=3,pieces=40", "sentences": 32, "batch_size": 8},
}
RECIPES, BUDGETS = ("walras", "kwon", "magnitude", "random"), (0.5, 0.75)
SPOKEN = "demo-congrats"
"""The recording whose words are kept; it is one of those that units are valued on. Word errors are of the others."""
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@final
@dataclass(frozen=True)
class Bench:
    """One of the two parts, with the rows that are there."""

    part: str
    subject: Subject
    settings: Mapping[str, Any]
    rows: list[dict[str, Any]]
    file: Path
    words: Mapping[str, str]  # what is said in each recording, by its path without the suffix

    def dense(self) -> Subject:
        """The subject, its dense network measured once and for all."""
        found = next((row for row in self.rows if row["recipe"] == "dense"), None)
        if found is None:
            started = time.monotonic()
            value = self.subject.data.evaluate(self.subject.model)
            found = self._keep({"recipe": "dense", "budget": 1.0, "draw": 0}, self.subject.model, value, 1.0, started)
        return replace(self.subject, dense=float(found["value"]))

    def measure(self, recipe: str, budget: float, draw: int, progress: Progress) -> None:
        """One figure, unless it is there."""
        key = {"recipe": recipe, "budget": budget, "draw": draw}
        if any(key.items() <= row.items() for row in self.rows):
            return
        started = time.monotonic()
        spec = RunSpec.parse({**self.settings, "recipe": recipe, "budget": budget, "seed": draw})
        outcome = run_plan(Plan.from_spec(spec), self.dense(), None, progress)
        share = outcome.summary.macs / outcome.summary.dense_macs
        self._keep(key, outcome.compact(), outcome.metric.value, share, started)

    def _keep(
        self, key: Mapping[str, Any], model: nn.Module, value: float, macs: float, started: float
    ) -> dict[str, Any]:
        row = {**key, "value": value, "macs": macs}
        if self.part == "speech":
            row |= heard(model, self.subject, self.words)
        row["seconds"] = round(time.monotonic() - started)
        self.rows.append(row)
        write_rows(self.file, self.rows)
        write_whole(
            self.file.with_name(f"senses_{self.part}.csv"), table(self.rows).to_csv(index=False, float_format="%.6g")
        )
        return row


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A line a recipe and budget: draws, mean and half-width between draws of every figure."""
    frame = pd.DataFrame([{k: v for k, v in row.items() if not isinstance(v, dict)} for row in rows])
    figures = [name for name in ("value", "word_errors", "macs") if name in frame]
    grouped = frame.groupby(["budget", "recipe"], sort=False)
    found = grouped[figures].mean()
    found.insert(0, "draws", grouped.size())
    found.insert(2, "least", grouped["value"].min())
    found.insert(3, "most", grouped["value"].max())
    return found.reset_index().sort_values(["budget", "value"], ascending=False)


@torch.no_grad()
def heard(model: Any, subject: Subject, words: Mapping[str, str]) -> dict[str, Any]:
    """The share of words that a whole network gets wrong in held-out recordings, and what it makes of one recording."""
    data = subject.data
    assert isinstance(data, TaskData)
    assert isinstance(data.task, Audio)
    wrong = total = 0
    for example in data.task.held_out:
        said = plain(words.get(Path(example.first).stem, ""))
        if said and Path(example.first).suffix == ".wav":  # whole recordings alone: of pieces nobody knows the words
            wrong += distance(said, plain(written(model, subject.tokenizer, data.task, example)))
            total += len(said)
    spoken = next(e for e in (*data.task.held_out, *data.task.calibrating) if Path(e.first).stem == SPOKEN)
    heard_ = written(model, subject.tokenizer, data.task, spoken)
    return {"word_errors": wrong / max(total, 1), "words": total, "spoken": heard_}


def written(model: Any, processor: Any, task: Audio, example: Any) -> str:
    """What a whole network writes down of a piece, the likeliest token each time."""
    features = task.batch(processor, [example], 0)["input_features"]
    ids = model.generate(features.to(next(model.parameters()).device))
    return str(processor.batch_decode(ids, skip_special_tokens=True)[0]).strip()


def plain(text: str) -> list[str]:
    """Words in small letters without marks; digits one by one, as words."""
    spelled = re.sub(r"\d", lambda digit: f" {_DIGITS[int(digit[0])]} ", text.lower())
    return re.findall(r"[a-z']+", spelled)


def distance(said: Sequence[str], heard_: Sequence[str]) -> int:
    """Words to change, add or leave out (Levenshtein 1966)."""
    row = list(range(len(heard_) + 1))
    for i, word in enumerate(said, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard_, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def spoken_words(folder: Path) -> dict[str, str]:
    """What is said in each recording, from the list beside them: `name: words`.

    Raises:
        InputError: no such list.
    """
    file = next(folder.rglob("core-sounds-en.txt.gz"), None)
    if file is None:
        raise InputError(f"{str(folder)!r} has no core-sounds-en.txt.gz, which the package beside the recordings holds")
    text = zlib.decompress(read_bytes(file, "list of words"), wbits=31).decode("utf-8")
    lines = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith(";"))
    return {Path(name.strip()).stem: said.strip() for name, _, said in lines if "[" not in said}


def main(
    part: Annotated[str, typer.Argument(help="pictures or speech.")],
    model: Annotated[Path, typer.Option(help="Folder of DINOv2-small or whisper-tiny.en.")],
    data: Annotated[Path, typer.Option(help="Folder of Fashion-MNIST's files, or of the recordings and their words.")],
    recipe: Annotated[list[str] | None, typer.Option(help="Which recipes. [default: all four]")] = None,
    budget: Annotated[list[float] | None, typer.Option(help="Which budgets. [default: 0.5 and 0.75]")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Calibration draws, seeds 0, 1, ...")] = 3,
    out: Annotated[Path | None, typer.Option(help="File of rows. [default: the part's, among the results]")] = None,
) -> None:
    """Measure what is missing, and write the table anew after every figure."""
    try:
        if part not in TASKS:
            raise InputError(f"part is {part!r}; it must be {' or '.join(TASKS)}")
        file = out or RESULTS / f"senses_{part}_cells.jsonl"
        words = spoken_words(data) if part == "speech" else {}
        settings = {**TASKS[part], "model": str(model), "data": str(data)}
        with progress_bar() as progress:
            subject = Subject.load(RunSpec.parse(settings).subject, progress, measured=False)
            bench = Bench(part, subject, settings, read_rows(file), file, words)
            bench.dense()
            for draw in range(draws):
                for share in budget or BUDGETS:
                    for name in recipe or RECIPES:
                        bench.measure(name, share, draw, progress)
    except WalrasError as error:
        fail(error)
    output().print(table(read_rows(file)).to_string(index=False))


if __name__ == "__main__":
    typer.run(main)
