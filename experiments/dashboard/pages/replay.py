"""The page of runs that have been: any round of them, by a slider."""

from collections.abc import Callable
from pathlib import Path

import solara

from walras.errors import WalrasError
from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.pages.market_view import MarketView
from walras.experiments.dashboard.scene import Replay
from walras.experiments.dashboard.session import sentence


@solara.component
def ReplayPage(launch: Launch) -> None:
    """A run's folder, round by round."""
    known = [str(folder) for folder in launch.run_folders]
    folder, set_folder = solara.use_state(known[0] if known else "")
    read, why = solara.use_memo(lambda: _read(Path(folder)) if folder else (None, ""), [folder])
    FolderMenu("Run", known, folder, set_folder, launch.local)
    if not folder:
        solara.Info("Name the folder of a run: walras run --out FOLDER makes one.")
    elif read is None:
        solara.Error(why, classes=["walras-error"])
    else:
        Rounds(read).key(folder)


@solara.component
def Rounds(replay: Replay) -> None:
    """The slider over rounds, and what is shown of one."""
    at, set_at = solara.use_state(replay.first)
    if replay.first < replay.last:
        solara.SliderInt(f"Round {at}", at, min=replay.first, max=replay.last, on_value=set_at)
    scene = solara.use_memo(lambda: replay.scene(at), [at])
    MarketView(scene)


@solara.component
def FolderMenu(name: str, known: list[str], folder: str, on_folder: Callable[[str], None], local: bool) -> None:
    """Folders that are known and, where only this machine reaches the page, any other."""
    with solara.Div(classes=["walras-grid"]):
        if known:
            solara.Select(name, known, folder if folder in known else None, on_value=on_folder)
        if local:
            solara.InputText("Folder", folder, on_value=on_folder)


def _read(folder: Path) -> tuple[Replay | None, str]:
    try:
        return Replay(folder), ""
    except (WalrasError, OSError, ValueError) as error:
        return None, sentence(error)
