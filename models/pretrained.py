"""Reading a checkpoint with transformers, which a stranger may have written: nothing else calls `from_pretrained`."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
import transformers
from transformers.utils.hub import cached_file

from walras.errors import InputError, WalrasError
from walras.files.contents import brief
from walras.files.plain_data import read_json
from walras.files.record import Record
from walras.files.tensors import read_shapes
from walras.models.checkpoint_config import read_checkpoint_config

_TIMES, _SPARE = 4, 2**24
"""A configuration may ask for so many times the weights that are there, and so many more: heads that are to be trained,
tied weights, and what does not fit, which is told by name once it is loaded."""


@final
class Read(NamedTuple):
    """A network, and what transformers tells of its weights: `missing_keys`, `unexpected_keys`, `mismatched_keys`."""

    model: Any
    info: dict[str, Any]


def read_config_file(source: str, what: str) -> dict[str, Any]:
    """What the `config.json` of a checkpoint holds, checked.

    Args:
        source: a folder, or a hub id.
        what: what errors call it: "model 'x'".

    Raises:
        UnknownNameError: a family that is in no row.
        InputError: whatever is wrong with the file.
    """
    with _told(what):
        return read_checkpoint_config(str(cached_file(source, "config.json")))


def read_config(source: str, what: str, kind: Any = transformers.AutoConfig, **options: Any) -> Any:
    """The configuration of a checkpoint, as whose class `kind` says; its file is checked first.

    Raises:
        UnknownNameError, InputError: as `read_config_file`, and what the class refuses.
    """
    read_config_file(source, what)
    with _told(what):
        return kind.from_pretrained(source, **options)


def read_tokenizer(source: str, what: str, **options: Any) -> Any:
    """The tokenizer of a checkpoint.

    Raises:
        InputError: files that make up none.
    """
    with _told(f"the tokenizer of {what}"):
        return transformers.AutoTokenizer.from_pretrained(source, **options)


def read_processor(kind: Any, source: str, what: str, **options: Any) -> Any:
    """What turns pictures or sound into inputs, as whose class `kind` says.

    Raises:
        InputError: settings that make up none.
    """
    with _told(what), quiet():
        return kind.from_pretrained(source, **options)


def read_network(kind: Any, source: str, what: str, config: Any, **options: Any) -> Read:
    """The network of a checkpoint, as whose class `kind` says; weights of a wrong size are told, not refused.

    Args:
        kind: class of transformers, or one of its auto classes.
        source: a folder, or a hub id.
        what: what errors call it.
        config: its configuration, by `read_config`.
        options: more arguments of `from_pretrained`.

    Raises:
        InputError: a configuration or weights that make up no network, or one that is far larger than its weights.
    """
    with _told(what), quiet():
        if Path(source).is_dir():
            _check_shards(Path(source))
            _check_size(kind, Path(source), what, config)
        found = kind.from_pretrained(
            source, output_loading_info=True, use_safetensors=True, ignore_mismatched_sizes=True, **options
        )
    return Read(*found)


def _check_shards(folder: Path) -> None:
    """Refuse an index of weights that leads out of the checkpoint's own folder."""
    file = folder / "model.safetensors.index.json"
    if not file.is_file():
        return
    told = Record(read_json(file, "index of weights"), f"index of weights {str(file)!r}").record("weight_map")
    for name in told:
        shard = told.text(name)
        if Path(shard).name != shard:
            raise InputError(f"{str(file)!r} leads out of its folder: {shard!r}; valid: names of files beside it")


def _check_size(kind: Any, folder: Path, what: str, config: Any) -> None:
    """Refuse a configuration of a network much larger than the weights, for which memory would be taken."""
    weights: Mapping[str, tuple[int, ...]] = {}
    for file in folder.glob("*.safetensors"):
        try:
            weights = {**weights, **read_shapes(file, "weights")}
        except InputError as error:
            raise InputError(f"cannot load {what}: {error}") from error
    if not weights:
        return  # transformers says which file it misses
    stored = sum(torch.Size(shape).numel() for shape in weights.values())
    layers = int(getattr(config, "num_hidden_layers", 0))
    if layers > len(weights):
        raise InputError(
            f"cannot load {what}: num_hidden_layers is {layers:,} in its config.json; it has {len(weights):,} weights"
        )
    make = getattr(kind, "from_config", None) or kind._from_config
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        skeleton = make(config)
    wanted = sum(p.numel() for p in skeleton.parameters()) + sum(b.numel() for b in skeleton.buffers())
    if wanted > _TIMES * stored + _SPARE:
        sizes = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size", "max_position_embeddings")
        told = ", ".join(f"{name} {getattr(config, name)}" for name in sizes if hasattr(config, name))
        raise InputError(
            f"cannot load {what}: by its config.json ({told}) it has {wanted:,} parameters, and its files hold "
            f"{stored:,}"
        )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever transformers, tokenizers and safetensors raise over a checkpoint into one sentence."""
    try:
        yield
    except (WalrasError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a panic of tokenizers is no Exception
        text = brief(error)
        if not isinstance(error, (OSError, ValueError, RecursionError, MemoryError)):
            text = f"{type(error).__name__}: {text}"
        raise InputError(f"cannot load {what}: {text}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own warnings back."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
