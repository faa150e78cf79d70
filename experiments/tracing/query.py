"""Rows of a trace by a condition such as `layer == 3 and kind == 'head'`, in which a stranger may have any text."""

import ast
from collections.abc import Collection, Sequence

import pandas as pd

from walras.errors import InputError
from walras.escaping import shown
from walras.files.contents import brief

LONGEST = 2000
"""Characters of a condition."""
LAST = "last"
_OPERATORS = (
    ast.Not, ast.USub, ast.UAdd, ast.Invert, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd,
    ast.BitOr, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_WORDS: dict[type[ast.AST], str] = {
    ast.Call: "calls something",
    ast.Attribute: "reads an attribute",
    ast.Subscript: "takes a part of something",
    ast.Lambda: "is a function",
    ast.NamedExpr: "assigns something",
    ast.JoinedStr: "is a text with values in it",
}


def select(frame: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The rows of a table for which a condition holds.

    The condition is one of pandas' `query`, of columns, numbers, texts, comparisons, arithmetic without powers, `and`,
    `or`, `not`, `in` and `not in`; `&`, `|` and `~` mean the same. It is taken apart and checked before pandas sees it:
    nothing in it is called, no attribute is read, and no name but that of a column is looked up. `last` is the last
    round that the table has.

    Raises:
        InputError: a condition that is none, or holds anything else; the part is named, and the columns that there are.
    """
    plain = frame.astype({n: str for n in frame.columns if isinstance(frame[n].dtype, pd.CategoricalDtype)})
    if "round" in frame and LAST not in frame:
        plain = plain.assign(**{LAST: frame["round"].max()})
    check_condition(condition, [str(name) for name in plain.columns])
    try:
        found = plain.eval(condition, engine="python", parser="pandas")
    except Exception as error:  # pandas raises many kinds; the condition holds no code of anybody's that could
        raise InputError(f"--where {shown(condition)} cannot be worked out: {brief(error)}") from error
    if not isinstance(found, pd.Series) or found.dtype != bool:
        raise InputError(f"--where {shown(condition)} is no condition; it must be true or false of each row")
    return frame[found]


def check_condition(condition: str, columns: Collection[str]) -> None:
    """Refuse what is not a plain condition on columns.

    Raises:
        InputError: as said.
    """
    if len(condition) > LONGEST:
        raise InputError(f"--where has {len(condition)} characters; it may have {LONGEST}")
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        told = getattr(error, "msg", None) or brief(error)
        raise InputError(f"--where {shown(condition)} cannot be read: {told}; {_valid(columns)}") from error
    try:
        _check(tree.body, condition.strip(), columns)
    except RecursionError as error:
        raise InputError(f"--where {shown(condition)} is nested too deeply") from error


def _check(node: ast.expr, text: str, columns: Collection[str]) -> None:
    """One part of a condition, and those that it consists of."""
    parts: list[ast.expr]
    operators: Sequence[ast.AST] = ()
    if isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.UnaryOp):
        parts, operators = [node.operand], [node.op]
    elif isinstance(node, ast.BinOp):
        parts, operators = [node.left, node.right], [node.op]
        if any(isinstance(part, ast.Constant) and not _is_number(part) for part in parts):
            raise _refused(node, "reckons with what is no number", text, columns)  # 'a' * 10**9 would fill the memory
    elif isinstance(node, ast.Compare):
        sides = zip(node.ops, node.comparators, strict=True)
        checked = [_members(op, side, text, columns) for op, side in sides]
        parts = [node.left, *(part for part in checked if part is not None)]
        operators = [op for op in node.ops if not _is_in(op)]
    elif isinstance(node, ast.Name):
        if node.id not in columns:
            raise _refused(node, "is no column", text, columns)
        return
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
        return
    else:
        raise _refused(node, _WORDS.get(type(node), "is not allowed"), text, columns)
    if not all(isinstance(operator, _OPERATORS) for operator in operators):
        raise _refused(node, "has an operator that is not allowed", text, columns)
    for part in parts:
        _check(part, text, columns)


def _members(operator: ast.cmpop, side: ast.expr, text: str, columns: Collection[str]) -> ast.expr | None:
    """What of one side of a comparison is still to be checked; a list of numbers and texts, behind `in`, is not."""
    if not _is_in(operator):
        return side
    if not isinstance(side, (ast.List, ast.Tuple, ast.Set)) or not all(map(_is_literal, side.elts)):
        raise _refused(side, "is no list of numbers or texts, as `in` needs it", text, columns)
    return None


def _is_in(operator: ast.cmpop) -> bool:
    return isinstance(operator, (ast.In, ast.NotIn))


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_number(node.operand)
    return isinstance(node, ast.Constant) and (isinstance(node.value, str) or _is_number(node))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _refused(node: ast.expr, why: str, text: str, columns: Collection[str]) -> InputError:
    part = ast.get_source_segment(text, node) or text
    return InputError(f"--where: {shown(part)} {why}; {_valid(columns)}")


def _valid(columns: Collection[str]) -> str:
    return f"valid: comparisons of numbers, texts and the columns {', '.join(columns)}, joined by and, or, not"
