"""One file of any kind: which module reads its text, and what is said when none can."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..inspection.facts import short
from ..inspection.files import TookTooLong, at_most
from . import excel, office, pages, sheets, texts
from .gathering import Gathering, Room, Unit

_READERS: dict[str, Callable[[str], Iterator[Unit]]] = {
    **dict.fromkeys(("csv", "tsv"), texts.rows),
    **dict.fromkeys(("json", "jsonl"), texts.escaped_lines),
    "html": texts.blocks,
    "pdf": pages.of_pdf,
    "docx": office.paragraphs,
    "pptx": office.slides,
    "xlsx": excel.rows,
    "xls": sheets.of_old_excel,
    "ods": sheets.of_open_document,
}
"""Whatever else it is, it is read as lines of text."""


def read(name: str, terms: Sequence[str], room: Room, seconds: float) -> dict[str, Any]:
    """The passages of a file; its own trouble is told in ``note``, never raised.

    Returns:
        ``passages``, each as place, text and head; ``note``; and ``whole``: whether the
        passages are the same whatever is looked for.
    """
    if seconds <= 0:
        return _told(None, "not read: there was no time left for it")
    kind = name.rpartition(".")[2].lower()
    gathered = Gathering(terms, room)
    note = ""
    try:
        with at_most(seconds):
            note = _gather(_READERS.get(kind, texts.lines)(name), gathered, seconds)
    except MemoryError:
        note = "not all of it was read: that takes more memory than there is"
    except TookTooLong:
        note = _too_slow(seconds)
    except ImportError as error:
        note = f"not read: {short(str(error), 200)}"
    except Exception as error:
        said = short(" ".join(str(error).split()), 200)
        note = f"cannot be read: {said or type(error).__name__}"
    return _told(gathered, note, pages.NO_TEXT if kind == "pdf" else "there is no text in it")


def _gather(units: Iterator[Unit], gathered: Gathering, seconds: float) -> str:
    """Take what is read, while there is time; what stopped it, else ''."""
    ends = time.monotonic() + seconds * 0.9
    for unit in units:
        gathered.add(unit)
        if time.monotonic() > ends:
            return _too_slow(seconds)
    return ""


def _too_slow(seconds: float) -> str:
    return f"only its beginning was searched: reading it takes more than {seconds:.0f} seconds"


def _told(gathered: Gathering | None, note: str, if_empty: str = "") -> dict[str, Any]:
    passages = gathered.finish() if gathered else []
    whole = gathered is not None and not gathered.beyond
    if passages and note.startswith("cannot"):
        note = f"only its beginning was searched; the rest {note}"
    if not passages and whole and not note:
        note = if_empty
    return {"passages": passages, "note": note, "whole": whole}
