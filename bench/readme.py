"""The table of the README, written by the run that measured it."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
_BEGIN, _END = "<!-- bench -->", "<!-- /bench -->"


def replace_table(page: str, readme: Path = README) -> None:
    """Put ``page`` between the marks.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{readme.name} has no part between {_BEGIN} and {_END}.")
    readme.write_text(f"{before}{_BEGIN}\n{page}\n{_END}{after}", encoding="utf-8")
