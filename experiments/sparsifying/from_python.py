"""From Python: a decoder of one's own, and texts, to a network whose tokens buy what they are computed with."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from walras.errors import InputError
from walras.experiments.progress import Progress, Silent
from walras.experiments.sparsifying.config import SparsifyConfig
from walras.experiments.sparsifying.sparsify import Sparsified, sparsified
from walras.experiments.subjects.subject import OWN, Subject, find_task
from walras.experiments.tasks import Task
from walras.experiments.tasks.document import split_document
from walras.models.loading import is_causal
from walras.models.units.tradable import check_tradable


def sparsify(
    model: nn.Module | str,
    tokenizer: Any = None,
    texts: Task | str | Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> Sparsified:
    """Let every token of a network buy what it is computed with, at prices that are found on texts.

    Args:
        model: a Hugging Face transformer of a known family, or the folder or hub id of one. It is not changed.
        tokenizer: of a model that is given as an object.
        texts: for a model object: one long text, several texts, or a task. A decoder reads several texts one after
            the other, as one text, of which the last tenth is measured on. For a name: the file or folder with the
            task's data, as --data on the command line.
        progress: bars, such as a started `rich.progress.Progress`.
        settings: as on the command line: budget, token_valuation, price_policy, prefill, sequences, length, seed, ...

    Returns:
        The network (`.model`), its prices and figures; `.save(folder)` writes what transformers loads.

    Raises:
        InputError: bad settings or texts, a budget that bids and attention alone exceed, a network that cannot be
            traded in.
    """
    progress = progress or Silent()
    if isinstance(model, str):
        if tokenizer is not None or not isinstance(texts, str | None):
            raise InputError("model is a name: its tokenizer is loaded with it, and texts is a path")
        return run(SparsifyConfig.parse({**settings, "model": model, "data": texts}), progress)
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {type(model).__name__}; it must be a transformer (torch.nn.Module), or its name")
    check_tradable(model)
    data = _data(model, texts)
    told = {"model": f"{type(model).__name__} {OWN}", "data": None, "task": data if isinstance(data, Task) else "text"}
    config = SparsifyConfig.parse({**settings, **told})
    looked_at = _first(data, config.limit) if isinstance(data, Task) else data
    subject = Subject.wrap(model, tokenizer, looked_at, config.subject, seed=config.seed)
    return sparsified(subject, config, progress)


def run(config: SparsifyConfig, progress: Progress) -> Sparsified:
    """The same for a network and a task that settings name.

    Raises:
        InputError: as `sparsify`.
    """
    task = _first(find_task(config.subject), config.limit)
    return sparsified(Subject.load(config.subject, progress, task), config, progress)


def _first(task: Task, rows: int) -> Task:
    """A task that is measured on its first rows; one of the user's own that does not say how, on all."""
    return task if type(task).first is Task.first else task.first(rows)


def _data(model: nn.Module, texts: Any) -> Any:
    """A task as it is; texts as a document for a decoder, and else as a list."""
    if isinstance(texts, Task):
        return texts
    if isinstance(texts, str) and is_causal(model):
        return split_document(texts, "texts")
    if isinstance(texts, Sequence) and not isinstance(texts, str) and all(isinstance(one, str) for one in texts):
        return split_document("\n\n".join(texts), "texts") if is_causal(model) else list(texts)
    if isinstance(texts, str):
        raise InputError(f"texts is one text, and {type(model).__name__} no decoder; give a list of texts, or a task")
    raise InputError(f"texts is {type(texts).__name__}; it must be a text, a list of texts, or a task")
