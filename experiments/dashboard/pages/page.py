"""The whole page: what solara shows of every viewer's visit."""

import solara
import solara.lab

from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.pages.live import Live, use_live
from walras.experiments.dashboard.pages.parts import CSS
from walras.experiments.dashboard.pages.replay import ReplayPage
from walras.experiments.dashboard.pages.tokens import TokenPage
from walras.files.contents import read_text

TITLE = "Walras"
_started_with: list[Launch] = []  # by the process: solara makes a page from a function without arguments


def start_with(launch: Launch) -> None:
    """Let every page begin with this."""
    _started_with[:] = [launch]


@solara.component
def Page() -> None:
    """Live markets, runs, and token traces, in tabs."""
    Dashboard(_started_with[0] if _started_with else Launch())


@solara.component
def Dashboard(launch: Launch) -> None:
    """The same with what it begins with."""
    first = 2 if launch.folders and launch.token_folders and not launch.run_folders else 0
    tab, set_tab = solara.use_state(first if not (launch.folders and launch.run_folders) else 1)
    live = use_live(launch, tab == 0)
    solara.Title(TITLE)
    solara.Style(solara.use_memo(lambda: read_text(CSS, "style of the dashboard"), []))
    with solara.AppBar():
        solara.lab.ThemeToggle()
    with solara.Column(style={"padding": "12px", "max-width": "1800px"}, gap="12px"):
        for note in launch.notes:
            solara.Info(note, dense=True)
        with solara.lab.Tabs(value=tab, on_value=set_tab):
            for name in ("Live", "Replay", "Tokens"):
                solara.lab.Tab(name)
        if tab == 0:
            Live(live, not launch.toy)
        elif tab == 1:
            ReplayPage(launch)
        else:
            TokenPage(launch)
