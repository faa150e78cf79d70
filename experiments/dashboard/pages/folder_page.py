"""A page that shows what a folder holds: the folder is chosen, read, and shown, or it is said why not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import solara

from walras.errors import WalrasError
from walras.experiments.dashboard.pages.parts import Menu
from walras.experiments.dashboard.session import sentence


@final
@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that a page shows.

    Attributes:
        name: of such a folder, above the menu.
        hint: what is said where no folder is named.
        read: what is shown of a folder, from its path.
        show: the component that shows it.
    """

    name: str
    hint: str
    read: Callable[[Path], Any]
    show: Callable[[Any], Any]


@solara.component
def FolderPage(kind: FolderKind, folders: Sequence[Path], local: bool) -> None:
    """Folders that are known and, where only this machine reaches the page (`local`), any other."""
    known = [str(folder) for folder in folders]
    folder, set_folder = solara.use_state(known[0] if known else "")
    found, why = solara.use_memo(lambda: read_or_why(kind, folder) if folder else (None, ""), [folder])
    with solara.Div(classes=["walras-grid"]):
        if known:
            Menu(kind.name, known, folder if folder in known else None, on_value=set_folder)
        if local:
            solara.InputText("Folder", folder, on_value=set_folder)
    if not folder:
        solara.Info(kind.hint)
    elif found is None:
        solara.Error(why, classes=["walras-error"])
    else:
        kind.show(found).key(folder)


def read_or_why(kind: FolderKind, folder: str) -> tuple[Any, str]:
    """What the folder holds, or nothing and why."""
    try:
        return kind.read(Path(folder)), ""
    except (WalrasError, OSError, ValueError) as error:
        return None, sentence(error)
