"""`walras interactions`: which units are complements, and which stand in for each other."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import output, progress_bar
from walras.experiments.spec import RunSpec

SENTENCES, KIND = 64, "head"
_SETTINGS = ("model", "task", "data", "length", "batch_size", "device", "dtype", "trust_remote_code", "block",
             "label_free", "sentences", "seed")  # fmt: skip


@with_settings(RunSpec, only=_SETTINGS, defaults={"sentences": SENTENCES})
def interactions(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option(help="Folder for interactions.graphml and interactions.png.")],
    kind: Annotated[str | None, typer.Option(help="Kind of units to look at. [default: head]")] = None,
    layers: Annotated[list[int] | None, typer.Option(help="Layers to look at. [default: all]")] = None,
    strongest: Annotated[int, typer.Option(help="Edges that are drawn and written.", min=1)] = 50,
    config: Annotated[Path | None, typer.Option(help="YAML file with any settings of a run.")] = None,
    code: Code = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the edges as JSON.")] = False,
) -> None:
    """Measure what every two units are worth together beyond what each is worth alone, and draw the strongest ties.

    walras interactions --task stsb --data glue --layers 4 --out ties

    walras interactions --kind ffn --block 128 --strongest 20 --out ties

    The work is k (k + 1) / 2 forward passes over the sentences for k units: 64 sentences are a good beginning.
    """
    from walras.experiments.interactions import strongest_interactions
    from walras.experiments.reports.numbers import number
    from walras.experiments.reports.plots import interactions as drawn
    from walras.experiments.reports.plots import png
    from walras.experiments.store.place import check_place
    from walras.files.writing import write_whole
    from walras.market.graph import write_graph

    check_place(out)
    given = {**given, "units": (kind or KIND,), "recipe": "none"}
    spec = (
        RunSpec.parse({"sentences": SENTENCES, **given}) if config is None else RunSpec.read(config, given, code or ())
    )
    with progress_bar(not as_json) as progress:
        graph, unit = strongest_interactions(spec, layers, strongest, progress)
    out.mkdir(parents=True, exist_ok=True)
    write_graph(graph, out / "interactions.graphml")
    write_whole(out / "interactions.png", png(drawn(graph, unit)))
    edges = [{"first": a, "second": b, **tie} for a, b, tie in graph.edges(data=True)]
    if as_json:
        print(json.dumps(edges, indent=2))
        return
    console = output()
    for edge in edges[:10]:
        console.print(f"{edge['first']} and {edge['second']}: {edge['relation']}, {number(edge['interaction'])} {unit}")
    console.print(f"{out / 'interactions.png'}   {out / 'interactions.graphml'}", soft_wrap=True)
