"""WikiText: how well does a decoder predict the next token of encyclopedia articles?"""

from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks.data.wikitext_files import SPLITS, read_wikitext, training_split
from walras.experiments.tasks.long_text import LongText


def wikitext(
    name: str,
    data: str | None = None,
    split: str = "test",
    stride: int | None = None,
    tokens: int | None = None,
    bos: str | None = None,
) -> LongText:
    """An edition of WikiText.

    Args:
        name: of `wikitext_files.WIKITEXT`.
        data: folder with the edition's folder in it; None asks the hub.
        split: "test" or "valid". Where a folder holds no training text, "valid" is calibrated and trained on.
        stride: how far windows of evaluation are apart; by default they stand side by side.
        tokens: evaluate on the first so many of the split.
        bos: token to put before every window and block, such as <|endoftext|>; by default there is none.
    """
    if split not in ("test", "valid"):
        raise UnknownNameError("split to evaluate on", split, [s for s in SPLITS if s != "train"])
    for key, value, least in (("stride", stride, 1), ("tokens", tokens, 2)):
        if value is not None and value < least:
            raise InputError(f"{key} is {value}; it must be a whole number of at least {least}")
    source = training_split(name, data)
    if source == split:
        raise InputError(f"{data} holds no training text; the valid split takes its place, so evaluate on test")
    settings = {"split": split if split != "test" else None, "stride": stride, "tokens": tokens, "bos": bos}
    given = ",".join(f"{key}={value}" for key, value in settings.items() if value is not None)
    return LongText(
        f"{name}:{given}" if given else name, split, read_wikitext(name, data, split), source,
        read_wikitext(name, data, source), stride, tokens, bos,
    )  # fmt: skip
