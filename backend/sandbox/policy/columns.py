"""Columns that a program asks a file's table for, and that the file does not have.

Followed are names that are bound to a table just read, and to rows of it: nothing cleverer. A
column counts as there when any part of the program may have made it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from backend.sandbox.policy.bans import words
from backend.sandbox.policy.findings import Finding, Surroundings, finding, listed, replace
from backend.sandbox.policy.nearest import did_you_mean, slip_of
from backend.sandbox.policy.walk import Program

_READERS = words("read_csv read_table read_excel read_parquet read_feather")
_PLAIN_OPTIONS = words("""
    sep delimiter encoding encoding_errors parse_dates dtype engine low_memory na_values thousands
    decimal nrows on_bad_lines keep_default_na skipinitialspace sheet_name date_format dayfirst
    quotechar escapechar comment true_values false_values memory_map infer_datetime_format
    """)
_KEEPING = words("""
    dropna drop_duplicates sort_values sort_index head tail copy fillna ffill bfill query sample
    replace astype infer_objects convert_dtypes nlargest nsmallest reset_index rename assign
    """)
"""Methods whose result has the same columns, or fewer, or such as are named in the call."""
_BY_FIRST = words("groupby sort_values drop_duplicates set_index value_counts explode")
_BY_KEYWORD: Final = {
    "groupby": "by", "sort_values": "by", "drop_duplicates": "subset", "dropna": "subset",
    "set_index": "keys", "pivot_table": "index columns values", "pivot": "index columns values",
    "melt": "id_vars value_vars", "nlargest": "columns", "nsmallest": "columns",
    "explode": "column", "duplicated": "subset",
}  # fmt: skip
_FROM_INDEX = frozenset({"index", "level_0", "level_1"})
_CHANGING = words("eval pipe set_axis")
"""Methods that may give a table columns of which nothing is known here."""
_NO_TABLES = words("dict list defaultdict Counter OrderedDict zeros ones empty full array")


def missing_columns(program: Program, around: Surroundings) -> Iterator[Finding]:
    """Each literal name of a column that is in no part of the file's table."""
    if not around.columns or not program.loaded & {"pd", "pandas"} | program.loaded & _READERS:
        return
    known = {name: frozenset(map(str, names)) for name, names in around.columns.items()}
    tables = _Tables(program, known)
    if not tables.columns:
        return
    for node, text, columns in tables.asked():
        certain = around.foresee and id(node) in program.certain
        slip = slip_of(text, columns)
        says = f"used the column {slip!r} instead of {text!r}"
        yield finding(
            "missing_column",
            f"The file has no column {text!r}.{did_you_mean(text, columns)} "
            f"Its columns are {listed(columns)}.",
            node.lineno,
            severity="error" if certain else "advice",
            mending=None if slip is None else replace(node, repr(slip), says),
        )


class _Tables:
    """Which names are tables of which columns, and what is asked of them."""

    def __init__(self, program: Program, known: dict[str, frozenset[str]]) -> None:
        self._program = program
        self._known = known
        self._nodes = list(ast.walk(program.tree))
        self._bound: dict[str, list[ast.expr]] = {}
        self.columns: dict[str, frozenset[str]] = {}
        self._find_tables()
        if self.columns:
            self._made = self._columns_made()
            self._forget_changed()

    def asked(self) -> Iterator[tuple[ast.Constant, str, frozenset[str]]]:
        """Literal names of columns that are not there: the node, the name, what is there."""
        for node in self._nodes:
            for base, literal in asked_literals(node):
                columns = self._columns_of(base)
                if columns is None or not isinstance(literal.value, str):
                    continue
                if literal.value not in columns and literal.value not in self._made:
                    yield literal, literal.value, columns

    def _find_tables(self) -> None:
        """Names that are bound to a file's table, and else to rows of tables of the same name."""
        bound = self._bound
        for node in self._nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
                if isinstance(target, ast.Name):
                    bound.setdefault(target.id, []).append(node.value)
        for name, values in bound.items():
            first, *others = values
            columns = self._read(first)
            if columns is None or len(values) != self._program.bound.get(name):
                continue
            self.columns[name] = columns
            if not all(self._root(value) == name for value in others):
                del self.columns[name]

    def _read(self, node: ast.expr) -> frozenset[str] | None:
        """The columns of ``pd.read_csv("known.csv")``."""
        if not isinstance(node, ast.Call) or len(node.args) != 1:
            return None
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name not in _READERS or not self._program.path(node.func).startswith("pandas."):
            return None
        if any(keyword.arg not in _PLAIN_OPTIONS for keyword in node.keywords):
            return None
        if any(_is_list_of_sheets(keyword) for keyword in node.keywords):
            return None
        text = self._program.text(node.args[0])
        if text is None or self._named_twice(node.args[0]):
            return None
        return self._known.get(text, self._known.get(PurePosixPath(text).name))

    def _named_twice(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and self._program.bound.get(node.id) != 1

    def _root(self, node: ast.expr) -> str | None:
        """The table whose rows an expression gives: ``df``, ``df.dropna()``, ``df[mask]``."""
        while not isinstance(node, ast.Name):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr not in _KEEPING:
                    return None
                node = node.func.value
            elif isinstance(node, ast.Subscript) and isinstance(
                node.slice, ast.Compare | ast.BinOp
            ):
                node = node.value
            else:
                return None
        return node.id if node.id in self.columns else None

    def _columns_of(self, node: ast.expr) -> frozenset[str] | None:
        match node:
            case ast.Call(func=ast.Attribute(value=base, attr="groupby")):
                node = base
        root = self._root(node)
        return None if root is None else self.columns[root]

    def _columns_made(self) -> set[str]:
        """Names that any part of the program may have given to a column."""
        made: set[str] = set(_FROM_INDEX)
        for node in self._nodes:
            match node:
                case ast.Subscript(ctx=ast.Store() | ast.Del()):
                    made |= _texts(node.slice)
                case ast.Call(func=ast.Attribute(attr="assign")):
                    made |= {keyword.arg for keyword in node.keywords if keyword.arg}
                case ast.Call(
                    func=ast.Attribute(attr="rename" | "insert" | "reset_index" | "rename_axis")
                ):
                    made |= _texts(node)
                case ast.Assign(targets=[ast.Attribute(attr="name" | "names")]):
                    made |= _texts(node.value)
                case ast.Compare(ops=[ast.In() | ast.NotIn()]):
                    made |= _texts(node.left)
        return made

    def _forget_changed(self) -> None:
        """Leave out tables that may get columns unseen: all, where it is unclear which."""
        for node in self._nodes:
            base = _changed(node)
            if base is None:
                continue
            if not isinstance(base, ast.Name):
                self.columns.clear()
            elif base.id in self.columns:
                del self.columns[base.id]
            elif not all(map(_is_no_table, self._bound.get(base.id) or [base])):
                self.columns.clear()


def _changed(node: ast.AST) -> ast.expr | None:
    """What may have other columns after `node`, of which it does not tell the names."""
    match node:
        case ast.Attribute(value=base, attr="columns", ctx=ast.Store()):
            return base
        case ast.Attribute(value=ast.Attribute(value=base, attr="columns"), attr="values"):
            return base
        case ast.Subscript(value=base, ctx=ast.Store()):
            return base if _is_computed(node.slice) else None
        case ast.Call(func=ast.Attribute(value=base, attr=name)):
            return base if _changes_unseen(node, name) else None
    return None


def _changes_unseen(call: ast.Call, name: str) -> bool:
    if name == "insert":
        return not _texts(call)
    if name == "assign":
        return any(keyword.arg is None for keyword in call.keywords)
    if name == "rename":
        return bool(call.args) or not all(map(_is_plain_renaming, call.keywords))
    return name in _CHANGING


def _is_no_table(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return getattr(value.func, "attr", getattr(value.func, "id", "")) in _NO_TABLES
    return isinstance(value, ast.Dict | ast.List | ast.DictComp | ast.ListComp | ast.BinOp)


def asked_literals(node: ast.AST) -> Iterator[tuple[ast.expr, ast.Constant]]:
    """Literal names of columns that `node` asks a table for, with the table's expression."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        for literal in _constants(node.slice):
            yield node.value, literal
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name, base = node.func.attr, node.func.value
        if name in _BY_FIRST and node.args:
            for literal in _constants(node.args[0]):
                yield base, literal
        wanted = _BY_KEYWORD.get(name, "").split()
        for keyword in node.keywords:
            if keyword.arg in wanted:
                for literal in _constants(keyword.value):
                    yield base, literal


def _constants(node: ast.expr) -> Iterator[ast.Constant]:
    parts = node.elts if isinstance(node, ast.List) else [node]
    for part in parts:
        if isinstance(part, ast.Constant):
            yield part


def _texts(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def _is_computed(place: ast.expr) -> bool:
    """Whether a place that is assigned to may be a column of any name; rows are none."""
    match place:
        case ast.Tuple(elts=[*_, last]):
            return _is_computed(last)
        case ast.List(elts=parts):
            return any(map(_is_computed, parts))
    rows = ast.Constant | ast.Slice | ast.UnaryOp | ast.Compare | ast.BoolOp
    return not isinstance(place, rows)


def _is_list_of_sheets(keyword: ast.keyword) -> bool:
    """``sheet_name=None`` or a list: many tables, not one."""
    value = keyword.value
    return keyword.arg == "sheet_name" and getattr(value, "value", None) is None


def _is_plain_renaming(keyword: ast.keyword) -> bool:
    if keyword.arg in ("columns", "index", "mapper"):
        return isinstance(keyword.value, ast.Dict) and all(
            isinstance(value, ast.Constant) for value in keyword.value.values
        )
    return True
