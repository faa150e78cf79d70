"""`walras check`: the conformance suite, for any rule."""

import json
from itertools import count
from typing import Annotated

import typer

from walras.experiments.cli.screen import output, progress_bar


def check(
    mechanism: Annotated[str, typer.Argument(help="Mechanism by name, or FILE.py:Class; parameters behind a colon.")],
    instances: Annotated[int, typer.Option(help="Random markets per population.", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the random markets.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Put a rule through the conformance suite; exit code 1 where a check fails.

    walras check my_rule.py:FirstCome

    walras check PostedPrice:price=0.5 --instances 200
    """
    from dataclasses import asdict

    from walras.experiments.reports.tables import checks_table
    from walras.mechanisms import MECHANISMS
    from walras.mechanisms.testing.conformance import check_mechanism

    rule = MECHANISMS.make(mechanism)
    with progress_bar(not as_json) as progress:
        task = progress.add_task("Checking", total=None)
        number = count()

        def tell(name: str) -> None:
            progress.update(task, completed=next(number), description=f"Checking: {name}")

        checks = check_mechanism(rule, seed, instances, tell)
    if as_json:
        print(json.dumps([asdict(c) for c in checks], indent=2))
    else:
        output().print(checks_table(mechanism, checks))
    if not all(c.passed for c in checks):
        raise typer.Exit(1)
