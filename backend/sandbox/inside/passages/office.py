"""Word documents and slides."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from . import packed
from .gathering import Unit

_NOTES = ("footnotes", "endnotes", "comments")
_SPACES = {"tab": "\t", "br": "\n", "cr": "\n"}


def paragraphs(name: str) -> Iterator[Unit]:
    """The paragraphs of a Word document, rows of tables among them; then notes and comments."""
    with packed.opened(name) as archive:
        parts = set(archive.namelist())
        if "word/document.xml" not in parts:
            raise ValueError("no Word document: its text is missing")
        yield from _paragraphs_of(archive, "word/document.xml", "")
        for kind in _NOTES:
            if f"word/{kind}.xml" in parts:
                yield from _paragraphs_of(archive, f"word/{kind}.xml", kind)


def _paragraphs_of(archive: zipfile.ZipFile, part: str, title: str) -> Iterator[Unit]:
    number, depth = 0, 0
    texts: list[str] = []
    cells: list[str] = []
    for event, tag, element in packed.elements(archive, part):
        if event == "start":
            depth += tag == "tc"
        elif tag == "t":
            texts.append(element.text or "")
        elif tag in _SPACES:
            texts.append(_SPACES[tag])
        elif tag == "p" and depth:
            texts.append(" ")
        elif tag == "p":
            number += 1
            yield Unit(title, "paragraph", number, "".join(texts).strip())
            texts = []
        elif tag == "tc":
            depth -= 1
            if not depth:
                cells.append("".join(texts).strip())
                texts = []
        elif tag == "tr" and not depth:
            number += 1
            yield Unit(title, "paragraph", number, " | ".join(cells))
            cells = []


def slides(name: str) -> Iterator[Unit]:
    """The text of each slide in the order of the show, its speaker's notes after it."""
    with packed.opened(name) as archive:
        for number, part in enumerate(_in_order(archive), 1):
            yield Unit(f"slide {number}", "", 1, _text_of(archive, part))
            notes = [
                other for other in packed.related(archive, part).values() if "/notesSlide" in other
            ]
            for other in notes:
                yield Unit(f"slide {number}, notes", "", 1, _text_of(archive, other))


def _in_order(archive: zipfile.ZipFile) -> list[str]:
    main = "ppt/presentation.xml"
    if main not in archive.namelist():
        raise ValueError("no presentation: its slides are missing")
    related = packed.related(archive, main)
    ids = [
        packed.relation(element)
        for event, tag, element in packed.elements(archive, main)
        if event == "start" and tag == "sldId"
    ]
    return [related[each] for each in ids if each in related]


def _text_of(archive: zipfile.ZipFile, part: str) -> str:
    texts: list[str] = []
    for event, tag, element in packed.elements(archive, part):
        if event != "end":
            continue
        if tag == "t":
            texts.append(element.text or "")
        elif tag in ("p", "br"):
            texts.append("\n")
    return re.sub(r"\n{2,}", "\n", "".join(texts)).strip()
