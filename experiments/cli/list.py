"""`walras list`: everything that can be named, with parameters, defaults and sources."""

import json
from typing import Annotated

import typer

from walras.experiments.cli.screen import output


def list_(
    kind: Annotated[str | None, typer.Argument(help="One kind, such as mechanisms. [default: all of them]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lists as JSON.")] = False,
) -> None:
    """List mechanisms, valuations, strategies, tasks, recipes and whatever else can be named.

    walras list

    walras list valuations
    """
    from walras.experiments.registries import KINDS, registry
    from walras.experiments.reports.catalogue import catalogue_table, kind_table

    kinds = KINDS if kind is None else (kind,)
    entries = {registry(name).kind: registry(name).describe() for name in kinds}
    if as_json:
        told = {
            name: {
                e.name: {"about": e.about, "parameters": [p._asdict() for p in e.parameters], "source": e.source}
                for e in found
            }
            for name, found in entries.items()
        }
        print(json.dumps(told, indent=2))
    elif kind is None:
        output().print(catalogue_table(entries))
    else:
        (found,) = entries.values()
        output().print(kind_table(found))
