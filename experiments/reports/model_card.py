"""The model card of an exported model: where it comes from, its figures, what is left of each layer, how to load it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from walras.escaping import markdown_code, markdown_text, one_line
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import megabytes, number
from walras.files.plain_data import write_yaml

_HUB = re.compile(r"[\w.-]+/[\w.-]+")  # the hub's name of a model
Layers = Mapping[int, Mapping[str, Any]]


def model_card(
    summary: Mapping[str, Any], name: str, auto: str, dense: Layers, small: Layers, *, stock: bool = False,
    inputs: str = "AutoTokenizer",
) -> str:  # fmt: skip
    """Markdown with the front matter that the hub reads; no name in it is taken for markup, or leaves its line.

    Args:
        summary: what `result.json` holds, with `parameters` and `dense_parameters`.
        name: of the folder.
        auto: class of transformers by which it is loaded.
        dense, small: `per_layer_config` of the model before and after.
        stock: the folder has no code of its own.
        inputs: class of transformers by which what makes its inputs is loaded; "" where the folder has none.
    """
    metric, source, counts = summary["metric"], str(summary["model"]), _counts(small)
    resource = {"macs": "compute"}.get(str(summary.get("resource", "macs")), str(summary.get("resource")))
    counted = " and ".join(_columns({0: _changed(counts, dense, small)})) or "no units"
    recipe = summary.get("recipe")
    how = f"recipe {markdown_code(str(recipe))}, " if recipe else ""
    mechanism, valuation = (markdown_code(str(summary[name])) for name in ("mechanism", "valuation"))
    made = f"{how}mechanism {mechanism}, valuation {valuation}, seed {summary['seed']}"
    share, quoted = f"{summary['used']:.1%} of its {markdown_text(resource)}", _quoted(name)
    front: dict[str, Any] = {"library_name": "transformers", "tags": ["walras", "structured-pruning"]}
    if _HUB.fullmatch(source) and not Path(source).exists():
        front["base_model"] = source
    rows = [
        (markdown_text(f"{titled(metric)} ({summary['task']})"), f"{metric['dense']:.4f}", f"{metric['value']:.4f}"),
        (
            f"MACs of the layers, {summary['length']} tokens",
            _millions(summary["dense_macs"]),
            _millions(summary["macs"]),
        ),
        ("parameters", f"{summary['dense_parameters']:,}", f"{summary['parameters']:,}"),
    ]
    if "bytes" in summary:  # not of earlier versions
        dense_size, size = megabytes(summary["dense_bytes"], summary["bytes"])
        rows.append(("megabytes of weights", dense_size, size))
    for batch, timing in summary.get("latency_ms", {}).items():
        what = markdown_text(f"milliseconds, {batch} x {summary['length']} tokens, where it was made")
        rows.append((what, number(timing["dense"]), number(timing["value"])))
    remote = ")" if stock or inputs != "AutoTokenizer" else ", trust_remote_code=True)"
    called = "tokenizer" if inputs == "AutoTokenizer" else "processor"
    trusted = ")" if stock else ", trust_remote_code=True)  # runs modeling_walras.py beside it"
    return "\n".join(
        [
            "---",
            write_yaml(front).strip(),
            "---",
            f"# {markdown_text(name)}",
            "",
            f"{markdown_code(source)} with {share} (budget {summary['budget']:g}): {counted} were",
            f"removed physically by Walras ({made}).",
            "",
            *_table(("", "dense", "this model"), rows),
            "",
            "```python",
            "import walras",
            f"from transformers import {', '.join(filter(None, (auto, inputs)))}",
            "",
            f"model = {auto}.from_pretrained({quoted}{trusted}",
            f"model = walras.load_model({quoted})  # or so, where Walras is installed: no code from this folder",
            *([f"{called} = {inputs}.from_pretrained({quoted}{remote}"] if inputs else []),
            "```",
            "",
            *_table(
                ("layer", *_columns(small)), [(str(i), *_cells(counts, dense[i], small[i])) for i in sorted(small)]
            ),
            "",
        ]
    )


def _quoted(name: str) -> str:
    """A name as Python writes it, on one line of code."""
    return json.dumps(one_line(name), ensure_ascii=False)


_NAMES = {"attention_heads": "heads", "key_value_heads": "key-value heads", "ffn_neurons": "FFN neurons"}


def _counts(layers: Layers) -> list[str]:
    """What is counted in every layer; lists, such as which heads are left, are no counts."""
    first = layers[min(layers)]
    return [key for key, value in first.items() if isinstance(value, int)]


def _changed(counts: Sequence[str], dense: Layers, small: Layers) -> dict[str, int]:
    """The counts that are smaller in some layer."""
    return {key: 0 for key in counts if any(small[i][key] < dense[i][key] for i in small)}


def _columns(layers: Layers) -> list[str]:
    """Headings of the counts that the family has."""
    return [_NAMES.get(key, key.replace("_", " ")) for key in _counts(layers)]


def _cells(counts: Sequence[str], dense: Mapping[str, Any], small: Mapping[str, Any]) -> list[str]:
    """`5 of 12` for each count."""
    return [f"{small[key]} of {dense[key]}" for key in counts]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _millions(macs: float) -> str:
    return f"{macs / 1e6:,.1f} M"
