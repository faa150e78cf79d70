"""Writing a network whose tokens buy what they are computed with, so that transformers loads it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from walras.models.export import (
    modeling_sparsified,
    modeling_walras,
    token_kernels,
    token_kernels_cuda,
    token_layers,
    token_settings,
)
from walras.models.export.checkpoints import check_class, described, save_shell
from walras.models.tokens.runtime import described_maps
from walras.models.tokens.token_map import TokenMap

_PARTS = (modeling_walras, token_settings, token_kernels, token_kernels_cuda, token_layers, modeling_sparsified)
_OWN = re.compile(r"^ *from walras\.models\.export\.\w+ import (?:\([^)]*\)|.*)\n", re.MULTILINE)
_ABOUT = re.compile(r'\A""".*?"""\n', re.DOTALL)


def save_sparsified(
    model: nn.Module,
    dense: nn.Module,
    tokenizer: Any,
    folder: str | Path,
    maps: Sequence[TokenMap],
    *,
    prefill: str,
    card: str = "",
    overwrite: bool = False,
    more: Callable[[Path], object] | None = None,
) -> None:
    """Write weights, worths and prices, and one file of code, whole or not at all.

    Args:
        model: what `sparse` returned.
        dense: the network that it was made of.
        tokenizer: its tokenizer; None to write none.
        folder: where to.
        maps: those that are traded.
        prefill: what a sequence of several tokens does.
        card: content of `README.md`.
        overwrite: replace an export that is there.
        more: writes further files into the folder that it is given.

    Raises:
        InputError: a folder that must not be written to, a model whose class is not from transformers, a full disk.
    """
    check_class(dense)
    shell = described(model, modeling_sparsified, dense, tokens=described_maps(maps, prefill))
    name = f"{modeling_sparsified.__name__.rpartition('.')[2]}.py"
    save_shell(shell, tokenizer, folder, {name: code()}, card=card, overwrite=overwrite, more=more)


def code() -> str:
    """The one file of code: that of sliced models, the kernels, and the markets on top of them."""
    *below, market = (Path(str(module.__file__)).read_text(encoding="utf-8") for module in _PARTS)
    about = _ABOUT.match(market)
    assert about is not None
    parts = [_OWN.sub("", _ABOUT.sub("", text)).strip() for text in (*below, market)]
    return "\n\n".join([about[0].strip(), *parts]) + "\n"
