"""Writing a report: one HTML file that needs nothing else, and its pictures as files beside it."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from walras.escaping import terminal_text
from walras.experiments.reports import plots
from walras.experiments.reports.pages.page import Page
from walras.files.writing import write_whole

REPORT = "report.html"
TEMPLATE = Path(__file__).with_name("page.html")


def write_page(folder: Path, page: Page) -> None:
    """Write NAME.png for every picture, and `report.html`."""
    for picture in page.pictures:
        write_whole(folder / f"{picture.name}.png", plots.png(picture.figure))
    write_whole(folder / REPORT, as_html(page))


def as_html(page: Page) -> str:
    """The page as one HTML file: texts escaped, pictures inside; nothing is fetched from anywhere."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = {picture.name: Markup(plots.svg(picture.figure, picture.name, picture.alt)) for picture in page.pictures}
    return environment.get_template(TEMPLATE.name).render(page=page, drawn=drawn)


def _shown(value: object) -> object:
    """A text without codes that turn others around; what is HTML already stays."""
    return terminal_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
