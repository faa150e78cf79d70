"""The GLUE tasks as a table: where each task's files lie, which columns it reads and what its labels mean.

Source: the official archives (gluebenchmark.com/tasks) and the dataset `nyu-mll/glue` on the Hugging Face
hub, whose order of classes is used. `test` splits have no labels there and are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

SPLITS = ("train", "dev")


@final
@dataclass(frozen=True)
class Columns:
    """Names of the columns that hold the first text, the second (None: one sentence a row) and the label."""

    first: str
    second: str | None
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that a row must have."""
        return tuple(name for name in (self.first, self.second, self.label) if name is not None)


@final
@dataclass(frozen=True)
class GlueTask:
    """One row of the table.

    Attributes:
        folder: the task's folder in the official layout; found in any spelling of case, "-" and "_".
        tsv: columns of the official files.
        fields: fields of the JSON lines, the same as on the hub.
        classes: names of the classes, by index; () for a score from `scores[0]` to `scores[1]`.
        scores: range of the score where there are no classes.
        metrics: the task's metrics; the first is the headline.
        hub: configuration of `nyu-mll/glue`.
        header: names of the TSV's columns where the file does not begin with them.
        train: stems of the training files, in the order in which they are looked for.
        dev: stems of the dev files; the last is the hub's name of the split.
        torn: the official files hold rows that a line break in a text has torn in two. They are passed over.
    """

    folder: str
    tsv: Columns
    fields: Columns
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    hub: str
    scores: tuple[float, float] = (0.0, 5.0)
    header: tuple[str, ...] = ()
    train: tuple[str, ...] = ("train", "train_subset")
    dev: tuple[str, ...] = ("dev", "validation")
    torn: bool = False

    def stems(self, split: str) -> tuple[str, ...]:
        """File names without suffix of a split of SPLITS."""
        return self.train if split == "train" else self.dev

    def hub_split(self, split: str) -> str:
        """What the hub calls a split of SPLITS."""
        return "train" if split == "train" else self.dev[-1]


SENTENCES = Columns("sentence1", "sentence2", "label")
ENTAILMENT = ("entailment", "not_entailment")
MNLI_CLASSES = ("entailment", "neutral", "contradiction")
MNLI_TSV = Columns("sentence1", "sentence2", "gold_label")
MNLI_FIELDS = Columns("premise", "hypothesis", "label")

GLUE: Mapping[str, GlueTask] = MappingProxyType(
    {
        "cola": GlueTask(
            folder="CoLA",
            header=("source", "label", "mark", "sentence"),
            tsv=Columns("sentence", None, "label"),
            fields=Columns("sentence", None, "label"),
            classes=("unacceptable", "acceptable"),
            metrics=("matthews",),
            hub="cola",
        ),
        "sst2": GlueTask(
            folder="SST-2",
            tsv=Columns("sentence", None, "label"),
            fields=Columns("sentence", None, "label"),
            classes=("negative", "positive"),
            metrics=("accuracy",),
            hub="sst2",
        ),
        "mrpc": GlueTask(
            folder="MRPC",
            tsv=Columns("#1 String", "#2 String", "Quality"),
            fields=SENTENCES,
            classes=("not_equivalent", "equivalent"),
            metrics=("f1", "accuracy"),
            hub="mrpc",
        ),
        "stsb": GlueTask(
            folder="STS-B",
            tsv=Columns("sentence1", "sentence2", "score"),
            fields=SENTENCES,
            classes=(),
            metrics=("spearman", "pearson"),
            hub="stsb",
        ),
        "qqp": GlueTask(
            folder="QQP",
            tsv=Columns("question1", "question2", "is_duplicate"),
            fields=Columns("question1", "question2", "label"),
            classes=("not_duplicate", "duplicate"),
            metrics=("f1", "accuracy"),
            hub="qqp",
            torn=True,
        ),
        "mnli": GlueTask(
            folder="MNLI",
            tsv=MNLI_TSV,
            fields=MNLI_FIELDS,
            classes=MNLI_CLASSES,
            metrics=("accuracy",),
            hub="mnli",
            dev=("dev_matched", "validation_matched"),
        ),
        "mnli-mm": GlueTask(
            folder="MNLI",
            tsv=MNLI_TSV,
            fields=MNLI_FIELDS,
            classes=MNLI_CLASSES,
            metrics=("accuracy",),
            hub="mnli",
            dev=("dev_mismatched", "validation_mismatched"),
        ),
        "qnli": GlueTask(
            folder="QNLI",
            tsv=Columns("question", "sentence", "label"),
            fields=Columns("question", "sentence", "label"),
            classes=ENTAILMENT,
            metrics=("accuracy",),
            hub="qnli",
        ),
        "rte": GlueTask(
            folder="RTE",
            tsv=SENTENCES,
            fields=SENTENCES,
            classes=ENTAILMENT,
            metrics=("accuracy",),
            hub="rte",
        ),
        "wnli": GlueTask(
            folder="WNLI",
            tsv=SENTENCES,
            fields=SENTENCES,
            classes=("not_entailment", "entailment"),
            metrics=("accuracy",),
            hub="wnli",
        ),
    }
)
