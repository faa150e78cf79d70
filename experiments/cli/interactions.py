"""`walras interactions`: which units are complements, and which stand in for each other."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from walras.experiments.cli.options import option
from walras.experiments.cli.screen import output, progress_bar
from walras.experiments.config import RunConfig, read_config


def interactions(
    out: Annotated[Path, typer.Option(help="Folder for interactions.graphml and interactions.png.")],
    kind: Annotated[str, typer.Option(help="Units to look at: head or ffn.")] = "head",
    layers: Annotated[list[int] | None, typer.Option(help="Layers to look at. [default: all]")] = None,
    strongest: Annotated[int, typer.Option(help="Edges that are drawn and written.", min=1)] = 50,
    model: Annotated[str | None, option("model")] = None,
    task: Annotated[str | None, option("task")] = None,
    data: Annotated[str | None, option("data")] = None,
    sentences: Annotated[int | None, option("sentences")] = None,
    block: Annotated[int | None, option("block")] = None,
    length: Annotated[int | None, option("length")] = None,
    batch_size: Annotated[int | None, option("batch_size")] = None,
    seed: Annotated[int | None, option("seed")] = None,
    device: Annotated[str | None, option("device")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the edges as JSON.")] = False,
) -> None:
    """Measure what every two units are worth together beyond what each is worth alone, and draw the strongest ties.

    The work is k (k + 1) / 2 forward passes over the sentences for k units: 64 sentences are a good beginning.
    """
    from walras.experiments.interactions import strongest_interactions
    from walras.experiments.reports.plots import interactions as drawn
    from walras.experiments.reports.plots import png
    from walras.experiments.store.run_folder import check_place, write_whole
    from walras.market.graph import write_graph

    check_place(out)
    given: dict[str, Any] = option.given(locals())
    settings = RunConfig(**{"sentences": 64, **(read_config(config) if config else {}), **given})
    with progress_bar(not as_json) as progress:
        graph, unit = strongest_interactions(settings, kind, layers, strongest, progress)
    out.mkdir(parents=True, exist_ok=True)
    write_graph(graph, out / "interactions.graphml")
    write_whole(out / "interactions.png", png(drawn(graph, unit)))
    edges = [{"first": a, "second": b, **tie} for a, b, tie in graph.edges(data=True)]
    if as_json:
        print(json.dumps(edges, indent=2))
        return
    console = output()
    for edge in edges[:10]:
        console.print(f"{edge['first']} and {edge['second']}: {edge['relation']}, {edge['interaction']:.3g} {unit}")
    console.print(f"{out / 'interactions.png'}   {out / 'interactions.graphml'}", soft_wrap=True)
