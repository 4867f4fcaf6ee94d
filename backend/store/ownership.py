"""The guard of the one rule of the store: no statement reaches a row without saying whose it is.

Every statement is looked at when its text is seen for the first time, right before it goes to the
database. One that reads or changes rows without ``TABLE.owner = ...`` (see ``owned_by``) never gets
there, unless it is marked with ``of_any_owner`` and a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnClause, Delete, Engine, Executable, Join, Select, Update, event
from sqlalchemy import Table as Relation
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ClauseElement,
    Grouping,
    TextClause,
)
from sqlalchemy.sql.selectable import AliasedReturnsRows

from backend.store.tables import Table

OF_ANY_OWNER = "of_any_owner"
"""The execution option of what is meant to reach the rows of all owners; its value says why."""
SHARED = "bytes are shared, though nobody can see that they are"
"""Why rows of all owners are asked before bytes are removed."""
_MOST_TEXTS = 2000
"""How many texts are remembered; those with lists of values in them are many."""

S = TypeVar("S", bound=Executable)


class OwnerMissing(RuntimeError):
    """A statement would have reached rows of any owner. This is a fault of this program."""


def of_any_owner(statement: S, reason: str) -> S:
    """Mark a statement that is meant to reach the rows of all owners; ``reason`` says why."""
    if not reason:
        raise ValueError("of_any_owner needs a reason")
    return statement.execution_options(**{OF_ANY_OWNER: reason})


def guard_ownership(engine: Engine) -> None:
    """Let no statement through an engine that reaches rows without saying whose."""
    owned = frozenset(table.name for table in Table.metadata.tables.values())
    names = re.compile(rf"\b(?:{'|'.join(sorted(owned))})\b")
    seen: set[str] = set()

    def look(
        _connection: Any, _cursor: Any, words: str, _values: Any, context: Any, _many: bool
    ) -> None:
        if words in seen or context.execution_options.get(OF_ANY_OWNER):
            return
        mentioned = [] if context.isddl else names.findall(words)
        if mentioned:
            statement: Any = getattr(context.compiled, "statement", None)
            in_words = statement is None or isinstance(statement, TextClause)
            missing = set(mentioned) if in_words else unowned(statement, owned)
            if missing:
                raise _missing(missing, words)
        if len(seen) >= _MOST_TEXTS:
            seen.clear()
        seen.add(words)

    event.listen(engine, "before_cursor_execute", look)


def _missing(tables: Iterable[str], words: str) -> OwnerMissing:
    return OwnerMissing(
        f"A statement reaches {', '.join(sorted(tables))} without an owner: "
        f"{' '.join(words.split())[:300]}. "
        "Add owned_by(...), or mark it with of_any_owner(..., reason)."
    )


def unowned(statement: ClauseElement, owned: frozenset[str]) -> set[str]:
    """The names of owned tables that a statement reaches without a condition on whose rows.

    A condition is one that stands alone or is joined to the others by AND: ``owner = value``, or
    ``owner = other.owner`` where ``other`` has one.
    """
    return set(_unowned(statement, owned, frozenset(), frozenset()))


def _unowned(
    part: ClauseElement,
    owned: frozenset[str],
    outer: frozenset[str],
    satisfied: frozenset[str],
) -> Iterator[str]:
    """Args: ``outer``: what the statements around it read; ``satisfied``: what of it has owners."""
    if isinstance(part, Select | Update | Delete):
        sources = dict(_sources(part, owned))
        own = frozenset(sources) - outer
        # What the statement around it reads is that one's, unless nothing else is read here.
        reached = own or frozenset(sources)
        conditions = [*_parts(part.whereclause), *_joined(part)]
        satisfied = _closed(conditions, satisfied - reached)
        yield from (sources[name] for name in reached - satisfied)
        outer |= frozenset(sources)
    elif isinstance(part, Relation) or not hasattr(part, "get_children"):
        return
    for child in part.get_children():
        yield from _unowned(child, owned, outer, satisfied)


def _sources(
    part: Select[Any] | Update | Delete, owned: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """What a statement reads rows of: its name there, and the table's."""
    froms = part.get_final_froms() if isinstance(part, Select) else [part.table]
    pending: list[Any] = list(froms)
    while pending:
        source = pending.pop()
        if isinstance(source, Join):
            pending += [source.left, source.right]
            continue
        table = source.element if isinstance(source, AliasedReturnsRows) else source
        if isinstance(table, Relation) and table.name in owned:
            yield _name(source), table.name


def _name(source: Any) -> str:
    return str(source.name)


def _joined(part: Select[Any] | Update | Delete) -> Iterator[ClauseElement]:
    """The conditions of inner joins."""
    pending: list[Any] = list(part.get_final_froms()) if isinstance(part, Select) else []
    while pending:
        source = pending.pop()
        if isinstance(source, Join):
            pending += [source.left, source.right]
            if source.onclause is not None and not (source.full or source.isouter):
                yield from _parts(source.onclause)


def _parts(condition: Any) -> Iterator[ClauseElement]:
    """What must all hold for a condition to hold."""
    if isinstance(condition, Grouping):
        yield from _parts(condition.element)
    elif isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for each in condition.clauses:
            yield from _parts(each)
    elif condition is not None:
        yield condition


def _closed(conditions: Iterable[ClauseElement], satisfied: frozenset[str]) -> frozenset[str]:
    """Which sources have an owner by the conditions, and by others that have one."""
    ties: list[tuple[str, str]] = []
    known = set(satisfied)
    for each in conditions:
        if not (isinstance(each, BinaryExpression) and each.operator is operators.eq):
            continue
        left, right = _owner_of(each.left), _owner_of(each.right)
        if left and right:
            ties.append((left, right))
        elif left and isinstance(each.right, BindParameter):
            known.add(left)
        elif right and isinstance(each.left, BindParameter):
            known.add(right)
    for _ in ties:
        for left, right in ties:
            if known & {left, right}:
                known |= {left, right}
    return frozenset(known)


def _owner_of(side: Any) -> str | None:
    """The source whose owner an expression is."""
    if isinstance(side, ColumnClause) and side.key == "owner" and side.table is not None:
        return _name(side.table)
    return None


def marked(reason: str) -> Mapping[str, str]:
    """The same mark as execution options: for a connection or a statement in words."""
    return {OF_ANY_OWNER: reason}
