"""A value as a notebook shows it: as text, and as HTML where it has such a form.

Values are the program's own: whatever they do when they are asked, an answer comes of it. No
library is imported here; what a value comes from is imported already.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

_COLUMNS = 20
_ROWS = 60
_FEWER_ROWS = (_ROWS, 20, 10, 4)
_WIDTH = 1000
_NAME_CHARS = 100
_PLAIN = (str, bytes, int, float, complex, bool)
"""Pandas has no part in how these are shown."""
_CUT = "\n…"


def as_text(value: Any, most_bytes: int) -> str:
    """The value's ``repr``, cut to so many bytes of UTF-8; of a DataFrame, at most 60 rows."""
    is_plain = type(value) in _PLAIN
    with contextlib.nullcontext() if is_plain else _display_options():
        try:
            text = repr(value)
        except BaseException as error:
            text = f"<{_type_name(value)} object whose repr failed: {_told(error)}>"
    return _cut(_encodable(text), most_bytes)


def as_html(value: Any, most_bytes: int) -> str | None:
    """What a notebook would show instead of the text; None where there is no such form.

    Tables that would be longer than ``most_bytes`` of UTF-8 are shown with fewer rows; anything
    else that is longer has no HTML.
    """
    pandas: Any = sys.modules.get("pandas")
    try:
        if isinstance(value, type):
            return None
        if pandas is not None and isinstance(value, pandas.Series):
            value = value.to_frame()
        if not hasattr(type(value), "_repr_html_"):
            return None
        if pandas is not None and isinstance(value, pandas.DataFrame):
            return _table(value, most_bytes)
        with _display_options():
            return _within(_ask(value), most_bytes)
    except BaseException:
        return None


def _ask(value: Any) -> str | None:
    html = type(value)._repr_html_(value)
    return _encodable(html) if isinstance(html, str) else None


def _table(frame: Any, most_bytes: int) -> str | None:
    for rows in _FEWER_ROWS:
        with _display_options(rows):
            html = _within(_ask(frame), most_bytes)
        if html is not None:
            return html
    return None


def _within(html: str | None, most_bytes: int) -> str | None:
    # Counted before it is encoded, so that a huge one costs no second copy.
    if html is None or len(html) > most_bytes or len(html.encode()) > most_bytes:
        return None
    return html


@contextlib.contextmanager
def _display_options(rows: int = _ROWS) -> Iterator[None]:
    """Pandas' own defaults but for the width: nobody's terminal is 80 columns wide here.

    An option that the program has set itself stays as it is.
    """
    pandas: Any = sys.modules.get("pandas")
    with contextlib.ExitStack() as stack:
        try:
            wanted = {
                "display.width": (80, _WIDTH),
                "display.max_columns": (0, _COLUMNS),
                "display.max_rows": (60, rows),
                "display.min_rows": (10, min(10, rows)),
            }
            for name, (default, ours) in wanted.items() if pandas is not None else ():
                if pandas.get_option(name) == default or rows < _ROWS:
                    stack.enter_context(pandas.option_context(name, ours))
        except Exception:  # a program may have made something else of pandas
            stack.close()
        yield


def _type_name(value: Any) -> str:
    return str(type.__getattribute__(type(value), "__qualname__"))[:_NAME_CHARS]


def _told(error: BaseException) -> str:
    try:
        return f"{_type_name(error)}: {error}"
    except BaseException:
        return _type_name(error)


def _encodable(text: str) -> str:
    """Half a surrogate pair is no text that could be handed on; nor is a subclass's own idea."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


def _cut(text: str, most_bytes: int) -> str:
    data = text.encode()
    if len(data) <= most_bytes:
        return text
    room = max(0, most_bytes - len(_CUT.encode()))
    return data[:room].decode("utf-8", "ignore") + (_CUT if room else "")
