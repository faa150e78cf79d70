"""How optional packages are installed, in the words of error messages."""


def installing(extra: str, *packages: str) -> str:
    """The line that installs an extra; Walras is on no package index, so that it names none.

    Args:
        extra: of pyproject.toml.
        packages: what is missing of it, for those who would rather install that.
    """
    line = f"pip install '.[{extra}]' in a checkout of walras"
    return f"{line} (or pip install {' '.join(packages)})" if packages else line
