"""Parsing Python that a model wrote, without noise, within a budget, and without trust."""

from __future__ import annotations

import ast

from backend.foreign_code import MAX_CODE_CHARS, quiet_compiler


class Parser:
    """Parses the candidates of one reply; remembers them, and stops when the budget is spent.

    A reply can suggest thousands of candidates. The budget keeps a hostile megabyte under a
    second; ordinary replies use a hundredth of it.
    """

    def __init__(self, budget: int = 600_000) -> None:
        self._budget = budget
        self._known: dict[str, ast.Module | int] = {}

    def tree(self, text: str) -> ast.Module | None:
        """The syntax tree, or None when `text` is no Python or the budget is spent."""
        parsed = self._parse(text)
        return parsed if isinstance(parsed, ast.Module) else None

    def error_line(self, text: str) -> int | None:
        """The line (from 1) at which `text` stops being Python; None when it is Python."""
        parsed = self._parse(text)
        return parsed if isinstance(parsed, int) else None

    def charge(self, characters: int) -> None:
        """Take work that is not parsing from the budget."""
        self._budget -= characters

    @property
    def spent(self) -> bool:
        """Whether nothing more will be parsed."""
        return self._budget <= 0

    def _parse(self, text: str) -> ast.Module | int:
        if text not in self._known:
            self._known[text] = self._parse_anew(text)
        return self._known[text]

    def _parse_anew(self, text: str) -> ast.Module | int:
        if len(text) > MAX_CODE_CHARS or self.spent or "\0" in text:
            return 1
        self.charge(200 + len(text) // 8)
        try:
            with quiet_compiler():
                tree = ast.parse(text)
        except SyntaxError as error:
            line = error.lineno or 1
            self._budget -= len(text) * line // (text.count("\n") + 1)
            return line
        except (ValueError, RecursionError, MemoryError, OverflowError):
            self._budget -= len(text)
            return 1
        self._budget -= len(text)
        return tree
