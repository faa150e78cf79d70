"""The picture of indices: a panel per output and unit, bars with their intervals."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from walras.experiments.designs.sensitivity import SettingIndex
from walras.experiments.reports.picture_text import in_legend

_LOOKS = (("#0072B2", ""), ("#D55E00", "//"), ("#009E73", ".."))  # Okabe and Ito's colours; hatched as well
_BAR = 0.8  # of the height of a row
_SIDE = 2  # panels side by side: a page may be as narrow as a telephone


def sensitivity_picture(indices: Sequence[SettingIndex]) -> Figure:
    """Settings from top to bottom in the order of the design, a bar per measure; each panel has its own scale."""
    outputs = list(dict.fromkeys(index.output for index in indices))
    settings = list(dict.fromkeys(index.setting for index in indices))
    measures = list(dict.fromkeys(index.measure for index in indices))
    height = 1.4 + 0.3 * len(settings) * max(len(measures), 2)
    rows = max(-(-len(outputs) // _SIDE), 1)
    figure = Figure(figsize=(_SIDE * 2.9 + 1.2, min(height * rows, 40)), layout="constrained")
    panels: Any = figure.subplots(rows, _SIDE, sharey=True, squeeze=False).ravel()
    for unused in panels[len(outputs) :]:
        unused.set_visible(False)
    for axes, output in zip(panels, outputs, strict=False):
        axes.axvline(0, color="#999999", linewidth=0.8)
        for i, measure in enumerate(measures):
            own = [index for index in indices if (index.output, index.measure) == (output, measure)]
            colour, hatch = _LOOKS[i % len(_LOOKS)]
            thick = _BAR / len(measures)
            at = [settings.index(index.setting) + (i - (len(measures) - 1) / 2) * thick for index in own]
            axes.barh(at, [x.estimate for x in own], thick, color=colour, hatch=hatch, edgecolor="white", label=measure)
            for place, x in zip(at, own, strict=True):
                if x.low is not None and x.high is not None:
                    axes.plot([x.low, x.high], [place, place], "|-", color="black", linewidth=1, markersize=5)
        axes.set_title(in_legend(output), fontsize=10)
        axes.set_yticks(range(len(settings)), [in_legend(name) for name in settings])
    panels[0].invert_yaxis()
    if outputs:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1), frameon=False)
    return figure
