"""What users hand over from Python, looked at before a network runs: batches, texts, tokenizers, and the first run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from walras.errors import InputError, WalrasError
from walras.files.contents import brief
from walras.models.objective import Batch
from walras.user_code import place_of

_ROWS = ("input_ids", "attention_mask", "token_type_ids", "inputs_embeds", "pixel_values", "input_features")
"""Inputs of a network that have a row for each of its own rows; labels may be fewer, one per pair."""


def check_batches(items: Sequence[Any], model: nn.Module, name: str = "data") -> None:
    """Refuse what is no batch of a network: wrong types, rows that do not match, tokens or positions that it has not.

    Raises:
        InputError: naming the batch and what is wrong in it.
    """
    for i, item in enumerate(items):
        where = f"{name}[{i}]"
        if not (isinstance(item, Mapping) and item):
            raise InputError(
                f"{where} is {type(item).__name__}; a batch must be a dict of tensors, as the model takes it"
            )
        for key, tensor in item.items():
            if not isinstance(key, str):
                raise InputError(f"{where} has {key!r}; the names in a batch are texts, such as 'input_ids'")
            if not isinstance(tensor, Tensor) or tensor.ndim == 0:
                told = f"of shape {[*tensor.shape]}" if isinstance(tensor, Tensor) else type(tensor).__name__
                raise InputError(f"{where}[{key!r}] is {told}; it must be a tensor with a row per sample")
        if any(len(tensor) == 0 for tensor in item.values()):
            raise InputError(f"{where} has no rows")
        rows = {key: len(item[key]) for key in _ROWS if key in item}
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{key} {number}" for key, number in rows.items())
            raise InputError(f"{where} has different numbers of rows: {told}")
        _check_tokens(item, model, where)


def _check_tokens(batch: Batch, model: nn.Module, where: str) -> None:
    """Refuse numbers of tokens that the network has no embedding for, and sequences longer than its positions."""
    ids = batch.get("input_ids")
    if ids is None:
        return
    if ids.ndim > 2:
        raise InputError(f"{where}['input_ids'] is of shape {[*ids.shape]}; it must be [rows, tokens], with no choices")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise InputError(f"{where}['input_ids'] is {ids.dtype}; tokens are whole numbers")
    check_ids(ids, model, where)
    longest = positions(model)
    if longest is not None and ids.shape[-1] > longest:
        raise InputError(
            f"{where} has {ids.shape[-1]} tokens a row; {type(model).__name__} has positions for at most {longest}"
        )


def check_ids(ids: Tensor, model: nn.Module, where: str) -> None:
    """Refuse numbers of tokens that the network has no embedding for.

    Raises:
        InputError: naming the number; often the tokenizer is another network's.
    """
    table: Any = next((m for m in model.modules() if hasattr(m, "get_input_embeddings")), None)
    try:
        known = None if table is None else getattr(table.get_input_embeddings(), "num_embeddings", None)
    except NotImplementedError:  # transformers raises it for networks of images, which have no table of tokens
        return
    if known is None or ids.numel() == 0:
        return
    for number in (int(ids.min()), int(ids.max())):
        if not 0 <= number < known:
            raise InputError(
                f"{where} holds token {number}; {type(model).__name__} has embeddings for tokens 0 to {known - 1}"
            )


def check_texts(texts: Sequence[Any]) -> None:
    """Refuse a list that does not hold texts alone.

    Raises:
        InputError: naming the first that is none, or that holds half a character.
    """
    for i, item in enumerate(texts):
        if not isinstance(item, str):
            raise InputError(f"data[{i}] is {type(item).__name__}, and data[0] is a text; all must be texts")
        try:
            item.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"data[{i}] holds half a character: {item[error.start]!a}") from error


def check_given(tokenizer: Any) -> None:
    """Refuse what is no tokenizer; it need not pad.

    Raises:
        InputError: none, or something that cannot be called.
    """
    if tokenizer is None:
        raise InputError("tokenizer is None, and data are texts; give the model's tokenizer")
    if not callable(tokenizer):
        raise InputError(f"tokenizer is {tokenizer!r}; it must be the model's tokenizer")


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot make batches of texts.

    Raises:
        InputError: none, no tokenizer, or one that does not pad.
    """
    check_given(tokenizer)
    if getattr(tokenizer, "pad_token", "") is None:
        raise InputError(
            f"{type(tokenizer).__name__} has no padding token; set one: tokenizer.pad_token = tokenizer.eos_token"
        )


@contextmanager
def first_run(model: nn.Module, what: str) -> Iterator[None]:
    """Tell what goes wrong while the dense network runs for the first time: it does not fit its data, or itself.

    Raises:
        InputError: naming the network, the data, and what torch or transformers said.
    """
    try:
        yield
    except WalrasError:
        raise
    except (Exception, SystemExit) as error:  # a task of the user's own may do anything
        text = f"{type(error).__name__}{place_of(error)}: {brief(error)}"
        raise InputError(f"{type(model).__name__} cannot be run on {what}: {text}") from error


def positions(model: nn.Module) -> int | None:
    """The longest sequence that a model of text has positions for.

    RoBERTa and its kin count positions from the number of the padding token on, and cannot use those before.
    """
    most: int | None = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if most is None:
        return None
    tables = (m for name, m in model.named_modules() if name.endswith("position_embeddings"))
    unused = max((m.padding_idx + 1 for m in tables if getattr(m, "padding_idx", None) is not None), default=0)
    return most - unused
