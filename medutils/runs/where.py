"""Conditions on runs, such as `auroc > .9 and epochs == 50`: parsed, and never executed."""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from medutils.errors import InputError
from medutils.runs.table import column_of

LONGEST = 2000  # characters of a condition
COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EXPECTED = "expected comparisons of names with numbers or quoted text, joined by and, or, not"
QUOTED = re.compile(r"`([^`]*)`")


def filtered(table: pd.DataFrame, condition: str, model: str = "") -> pd.DataFrame:
    """The rows of a runs table that fit a condition.

    A condition compares columns with numbers or with text in quotes (`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`)
    and joins comparisons by `and`, `or`, `not` and brackets. A name that is no Python name stands in backticks. See
    `column_of` for what a name may be short for. An empty cell fits no comparison but `!=` and `not in`. Raises
    `InputError` for anything else; nothing of a condition is executed.
    """
    names: list[str] = []

    def placed(match: re.Match[str]) -> str:
        names.append(match[1])
        return f"_quoted_{len(names) - 1}"

    if len(condition) > LONGEST:
        raise InputError(f"--where: found {len(condition)} characters; expected at most {LONGEST}")
    try:
        tree = ast.parse(QUOTED.sub(placed, condition.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"--where: found '{condition}'; {EXPECTED}") from None
    fits = _Condition(table, model, names).truth(tree)
    chosen = table[fits]
    chosen.attrs = dict(table.attrs)
    return chosen


class _Condition:
    """A condition on the rows of a table."""

    def __init__(self, table: pd.DataFrame, model: str, names: list[str]) -> None:
        self.table, self.model, self.names = table, model, names

    def truth(self, node: ast.expr) -> "pd.Series[bool]":
        """Whether each row fits a condition, or a part of one."""
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(part) for part in node.values]
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            found = parts[0]
            for part in parts[1:]:
                found = join(found, part)
            return found
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            found = pd.Series(True, self.table.index)
            for left, compared, right in zip(sides, node.ops, sides[1:], strict=False):
                found &= self._compared(left, compared, right)
            return found
        raise self._refused(node)

    def _compared(self, left: ast.expr, compared: ast.cmpop, right: ast.expr) -> "pd.Series[bool]":
        one = self._value(left)
        if isinstance(compared, ast.In | ast.NotIn) and isinstance(right, ast.List | ast.Tuple):
            within = self._column(one).isin([self._constant(part) for part in right.elts])
            return ~within if isinstance(compared, ast.NotIn) else within
        compare = COMPARED.get(type(compared))
        if compare is None:
            raise self._refused(right)
        try:
            return (
                pd.Series(compare(self._column(one), self._value(right)), self.table.index).fillna(False).astype(bool)
            )
        except TypeError:
            raise InputError(
                f"--where: found '{ast.unparse(left)}' compared with a value of another kind; {EXPECTED}"
            ) from None

    def _column(self, value: Any) -> "pd.Series[Any]":
        return value if isinstance(value, pd.Series) else pd.Series(value, self.table.index)

    def _value(self, node: ast.expr) -> Any:
        """A column, or a constant."""
        if name := self._name(node):
            return self.table[column_of(self.table, name, self.model)]
        return self._constant(node)

    def _name(self, node: ast.expr) -> str:
        """A name, dots in it too; "" for what is none."""
        if isinstance(node, ast.Name):
            place = node.id.removeprefix("_quoted_")
            return self.names[int(place)] if node.id != place and place.isdecimal() else node.id
        if isinstance(node, ast.Attribute) and (before := self._name(node.value)):
            return f"{before}.{node.attr}"
        return ""

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._constant(node.operand)
            if isinstance(value, int | float):
                return -value
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
            return node.value
        raise self._refused(node)

    def _refused(self, node: ast.expr) -> InputError:
        return InputError(f"--where: found '{ast.unparse(node)}'; {EXPECTED}")
