"""The model card of a sparsified network, and what the command line prints of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from walras.escaping import markdown_code, markdown_text, one_line
from walras.experiments.reports.numbers import percent, quality, short
from walras.files.plain_data import write_yaml
from walras.models.export.checkpoints import auto_class


def card(model: Any, summary: Mapping[str, Any], name: str) -> str:
    """Markdown with the front matter that the hub reads; no name in it is taken for markup, or leaves its line.

    Args:
        model: the dense network.
        summary: the figures.
        name: of the folder.
    """
    auto, quoted = auto_class(model), json.dumps(one_line(name), ensure_ascii=False)
    metric = summary["metric"]
    measured = f"{summary['task']}, at most {summary['limit']} rows"
    how = ", ".join(
        f"{key} {markdown_code(str(summary[field]))}"
        for key, field in (("bids", "token_valuation"), ("prices", "price_policy"), ("prompts", "prefill"))
    )
    return "\n".join(
        [
            "---",
            write_yaml({"library_name": "transformers", "tags": ["walras", "activation-sparsity"]}).strip(),
            "---",
            f"# {markdown_text(name)}",
            "",
            f"{markdown_code(str(summary['model']))}, whose tokens buy what they are multiplied with:",
            f"{summary['measured']:.1%} of the dense network's on average (budget {summary['budget']:g}; {how}).",
            "",
            "| | dense | each token buys |",
            "| --- | --- | --- |",
            f"| {markdown_text(metric['name'])} ({markdown_text(measured)}) | {metric['dense']:.4f} "
            f"| {metric['value']:.4f} |",
            "",
            "```python",
            "import walras",
            f"from transformers import {auto}, AutoTokenizer",
            "",
            f"model = {auto}.from_pretrained({quoted}, trust_remote_code=True)  # runs modeling_sparsified.py",
            f"model = walras.load_model({quoted})  # or so, where Walras is installed: no code from this folder",
            f"tokenizer = AutoTokenizer.from_pretrained({quoted}, trust_remote_code=True)",
            "```",
            "",
            "One sequence at a time decodes faster on a CPU, with numba installed; batches and prompts gain nothing,",
            "and the folder is as large as the dense network's.",
            "",
        ]
    )


def print_sparsified(console: Console, summary: Mapping[str, Any]) -> None:
    """The metric, the shares, and the mean share of every kind of map."""
    metric = summary["metric"]
    dense, value = quality(metric["dense"]), quality(metric["value"])
    console.print(
        f"{metric['name']} {dense} dense, {value} with {percent(summary['measured'])} of the "
        f"multiplications, on at most {summary['limit']} rows (budget {short(summary['budget'])}; bids and what is not "
        f"traded take {percent(summary['floor'])})",
        soft_wrap=True,
    )
    if summary["maps"]:
        console.print(_table(summary["maps"]))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row per kind of map."""
    table = Table("map", "bought", "least", "most", title="share of bidders that buy, by layer")
    for kind in dict.fromkeys(str(row["map"]) for row in rows):
        shares = [float(row["bought"]) for row in rows if row["map"] == kind]
        table.add_row(kind, *(percent(x) for x in (sum(shares) / len(shares), min(shares), max(shares))))
    return table
