"""The page of runs that have been: any round of them, by a slider."""

import solara

from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.pages.folder_page import FolderKind, FolderPage
from walras.experiments.dashboard.pages.market_view import MarketView
from walras.experiments.dashboard.scene import Replay


@solara.component
def Rounds(replay: Replay) -> None:
    """The slider over rounds, and what is shown of one."""
    at, set_at = solara.use_state(replay.first)
    if replay.first < replay.last:
        solara.SliderInt(f"Round {at}", at, min=replay.first, max=replay.last, on_value=set_at)
    scene = solara.use_memo(lambda: replay.scene(at), [at])
    MarketView(scene)


RUNS = FolderKind("Run", "Name the folder of a run: walras run --out FOLDER makes one.", Replay, Rounds)


@solara.component
def ReplayPage(launch: Launch) -> None:
    """A run's folder, round by round."""
    FolderPage(RUNS, launch.run_folders, launch.local)
