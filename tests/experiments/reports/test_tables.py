"""What commands print of several runs."""

import io

import pytest

from walras.experiments.cli.screen import TerminalConsole
from walras.experiments.reports.tables import in_brief, result_table


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ShadowPrice", "ShadowPrice"),
        ("PostedPrice:price=0.0030542756802763", "PostedPrice\n  price=0.00305"),
        ("Hedge:rate=0.1,window=3", "Hedge\n  rate=0.1,window=3"),
        ("Mine:step=1.23456789e-07", "Mine\n  step=1.23e-07"),
    ],
)
def test_names_in_a_narrow_column(spec: str, expected: str) -> None:
    assert in_brief(spec) == expected


def test_figures_are_whole_in_120_columns() -> None:
    run = {
        "mechanism": "PostedPrice:price=0.003054275680276", "valuation": "partial-fisher", "budget": 0.75,
        "used": 0.74987, "price": 0.00305427, "welfare": 0.0089412, "revenue": 0.0022904, "status": "rationed",
        "metric": {"name": "spearman", "dense": 0.8109, "value": 0.8001},
    }  # fmt: skip
    screen = io.StringIO()
    TerminalConsole(file=screen, width=120).print(result_table([run]))
    told = screen.getvalue()
    assert "…" not in told
    assert all(figure in told for figure in ("0.750", "0.00305", "0.00894", "0.00229", "rationed", "0.8109", "0.8001"))
