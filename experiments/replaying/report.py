"""The folder of a replay: tables of requests and windows, figures, and a report with the picture."""

from pathlib import Path

import pandas as pd

from walras.experiments.replaying.card import HEADINGS, rows_of
from walras.experiments.replaying.comparison import Comparison
from walras.experiments.replaying.pictures import over_time
from walras.experiments.reports.numbers import count, percent, short
from walras.experiments.reports.pages.page import Made, Note, Page, Picture, Section, Table, cells
from walras.experiments.reports.pages.writing import REPORT, write_page
from walras.experiments.store.place import check_own_place, check_place
from walras.experiments.store.versions import versions
from walras.files.folders import movable, remove, whole_folder
from walras.files.locks import one_writer
from walras.files.plain_data import write_json
from walras.files.writing import write_whole

FILES = ("requests.csv", "windows.csv", "over-time.png", REPORT, "replay.json")
"""Of a replay's folder, in the order in which they are written."""
SHOWN = 200
"""Windows of a policy that the report lists; all are in `windows.csv`."""
_READ = (
    "Accuracy is the share of all requests whose right answer ended within its grant; “of funded” leaves out those "
    "that got a floor, or nothing. Intervals resample requests (95 %); those of differences pair them. “Of optimum” "
    "is the share of the most right answers that anybody could have bought with the same budget per window who knew "
    "all answers beforehand. Spending is what a window granted and did not get back, as a share of its budget; what "
    "a floor takes is in it. Waiting is from arrival to grant, of those who got tokens; “never” are those who did not."
)


def check_replay_place(folder: Path) -> None:
    """Find out, before a trace is played, whether a replay can be written to a place.

    Raises:
        InputError: a place that cannot be written, or a folder with anything else in it.
    """
    check_place(folder)
    check_own_place(folder, FILES, "a replay")


def write_replay(folder: Path, compared: Comparison, command: str = "") -> None:
    """Write `FILES`; a replay that is there is replaced, in one step where the folder can be moved.

    Where it cannot, `replay.json` goes first and comes last.

    Args:
        folder: where they go.
        compared: the policies.
        command: by which it was made.

    Raises:
        InputError: as `check_replay_place`.
    """
    check_replay_place(folder)
    with one_writer(folder):
        if movable(folder):
            with whole_folder(folder) as draft:
                _write(draft, compared, command)
            return
        remove(folder / FILES[-1])
        _write(folder, compared, command)


def _write(folder: Path, compared: Comparison, command: str) -> None:
    for name in ("requests", "windows"):
        tables = [getattr(run, name).assign(policy=run.policy) for run in compared.runs]
        table = pd.concat(tables, ignore_index=True)
        table = table[["policy", *table.columns.drop("policy")]]
        write_whole(folder / f"{name}.csv", str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n")))
    write_page(folder, replay_page(compared, command))
    write_whole(folder / FILES[-1], write_json(compared.summary()))


def replay_page(compared: Comparison, command: str) -> Page:
    """The page of a replay."""
    opening = compared.opening
    length = f"{opening.queries} requests" if opening.queries else f"{short(opening.seconds)} seconds"
    about = (
        f"{count(len(compared.requests))} requests, played as they came against markets of {short(opening.budget)} "
        f"tokens per {length}; unfunded: {compared.told_rule}; answers of {short(compared.speed)} tokens a second."
    )
    picture = Picture(
        "over-time", over_time(compared), "Spending and price per window, a line per policy.",
        "Spending may exceed the budget by what a floor takes, and by nothing else.",
    )  # fmt: skip
    table = Table(HEADINGS, rows_of(compared), "By policy")
    sections = [
        Section("Over time", [picture]),
        Section("Tokens", [_tokens(compared)]),
        Section("Windows", [_windows(compared, i) for i in range(len(compared.runs))], folded=True),
    ]
    notes = [Note(text, warning=True) for text in compared.notes()]
    made = Made(command, versions=versions())
    return Page("Replay of a trace", about, sentence(compared), [table, Note(_READ), *notes], sections, made)


def sentence(compared: Comparison) -> str:
    """Which policy answers most, beside the first one."""
    best = max(compared.runs, key=lambda run: run.figures["right"])  # the earlier one of equals
    first, f = compared.runs[0], best.figures
    told = f"{best.policy} answers {percent(f['accuracy'])} of {count(f['requests'])} requests right"
    if f["share_of_optimum"] is not None:
        told += f", {percent(f['share_of_optimum'])} of what was possible"
    if best is first:
        return f"{told}{'; no other policy answers more' if len(compared.runs) > 1 else ''}."
    apart, low, high = compared.minus_first(best)
    sure = "" if low > 0 else ", a difference that may be chance"
    less, least, most = (short(100 * share) for share in (apart, low, high))
    return f"{told}; {first.policy} answers {less} points less ({least} to {most}){sure}."


def _tokens(compared: Comparison) -> Table:
    names = ("funded", "queued", "floored", "unfunded", "right", "most_right", "granted", "used", "returned", "expired",
             "floor_used", "price_median")  # fmt: skip
    columns = [cells(run.figures[name] for run in compared.runs) for name in names]
    rows = [[run.policy, *row] for run, row in zip(compared.runs, zip(*columns, strict=True), strict=True)]
    return Table(["policy", *(name.replace("_", " ") for name in names)], rows, "Requests and tokens of all windows")


def _windows(compared: Comparison, place: int) -> Table:
    run = compared.runs[place]
    more = f", the first {SHOWN} of {len(run.windows):,}; all are in windows.csv" if len(run.windows) > SHOWN else ""
    return Table.from_frame(run.windows.head(SHOWN), f"{run.policy}{more}")
