"""Price and spending of policies over the windows of a trace."""

from itertools import cycle

from matplotlib.figure import Figure

from walras.experiments.replaying.comparison import Comparison
from walras.experiments.reports.axes import from_zero, legend_outside, plain_ticks
from walras.experiments.reports.picture_text import in_legend
from walras.experiments.reports.plots import GREY, LOOKS

_LOOKS = (*LOOKS, ("P", "--", "#E69F00"), ("X", ":", "#56B4E9"), ("*", "-.", "#666666"))  # as many as policies of ours


def over_time(compared: Comparison) -> Figure:
    """Above, what every window spent, and its budget; below, the mean price that requests met in it.

    Policies without a price are not in the lower panel, which is missing where none has one.
    """
    priced = [run for run in compared.runs if run.windows["price"].notna().any()]
    figure = Figure(figsize=(7, 5.6 if priced else 3.2), layout="constrained")
    panels = figure.subplots(2 if priced else 1, 1, sharex=True, squeeze=False)[:, 0]
    spending, budget = panels[0], compared.opening.budget
    looks = dict(zip((run.policy for run in compared.runs), cycle(_LOOKS), strict=False))
    for run in compared.runs:
        marker, line, colour = looks[run.policy]
        spending.plot(run.windows["window"], run.windows["spent"], marker + line, color=colour, markersize=3,
                      linewidth=1, label=in_legend(run.policy))  # fmt: skip
    spending.axhline(budget, color=GREY, linewidth=0.8)
    spending.set_ylabel("spent [tokens per window]\ngrey: the budget")
    from_zero(spending, [budget, *(value for run in compared.runs for value in run.windows["spent"])])
    plain_ticks(spending.yaxis)
    for run in priced:
        marker, line, colour = looks[run.policy]
        panels[1].plot(run.windows["window"], run.windows["price"], marker + line, color=colour, markersize=3,
                       linewidth=1)  # fmt: skip
    if priced:
        panels[1].set_ylabel("price [utility per token]")
        from_zero(panels[1], [value for run in priced for value in run.windows["price"]])
        plain_ticks(panels[1].yaxis)
    panels[-1].set_xlabel("window")
    legend_outside(figure, spending)
    return figure
