"""Markup: the elements of XML, the title and tables of HTML."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from . import tables, texts
from .facts import ENTRIES, NAME_CHARS, SHEET_ROWS, TABLE_ROWS, Facts, short

_TABLES = 10
_PARSED_CHARS = 1_000_000
"""A longer page is not searched for tables."""


def inspect_xml(name: str) -> Facts:
    """The root, the paths to its elements with their attributes and how often they are there."""
    from xml.etree import ElementTree

    times: Counter[str] = Counter()
    attributes: dict[str, dict[str, None]] = {}
    texts_of: dict[str, str] = {}
    path: list[str] = []
    root = ""
    for number, (event, element) in enumerate(ElementTree.iterparse(name, events=("start", "end"))):
        if event == "end":
            text = (element.text or "").strip()
            if text and not len(element):
                texts_of.setdefault("/".join(path), text)
            path.pop()
            element.clear()
            continue
        tag = short(element.tag, NAME_CHARS)
        root = root or tag
        path.append(tag)
        place = "/".join(path)
        if place in times or len(times) < ENTRIES:
            times[place] += 1
            attributes.setdefault(place, {}).update(dict.fromkeys(element.attrib))
        if number >= 2 * TABLE_ROWS:
            break
    told = [_told(place, times[place], attributes[place], texts_of.get(place)) for place in times]
    read_with = f"import xml.etree.ElementTree as ET; ET.parse({name!r}).getroot()"
    return {**texts.inspect(name), "root": root, "elements": told, "read_with": read_with}


def _told(path: str, times: int, attributes: dict[str, None], text: str | None) -> str:
    words = f"{short(path, 300)} ({times})"
    if attributes:
        words += " with attributes " + ", ".join(map(repr, list(attributes)[:20]))
    if text:
        words += f", such as {short(text, 60)!r}"
    return words


def inspect_html(name: str) -> Facts:
    """The title, the headings, and each table with its columns."""
    text = texts.read(name)
    title = re.search(r"<title[^>]*>([^<]*)", text.content, re.IGNORECASE)
    facts = {
        **texts.describe(name, text),
        "title": short(title[1].strip()) if title else "",
        "headings": [
            short(re.sub(r"<[^>]*>", "", heading).strip(), 200)
            for heading in re.findall(r"(?is)<h[1-3]\b[^>]*>(.{0,500}?)</h", text.content)[:20]
        ],
        "table_elements": len(re.findall(r"<table\b", text.content, re.IGNORECASE)),
    }
    if facts["table_elements"] and len(text.content) <= _PARSED_CHARS:
        facts["tables"] = _tables(name, text)
    return facts


def _tables(name: str, text: texts.Text) -> list[Facts]:
    import io

    import pandas as pd

    try:
        frames: list[Any] = pd.read_html(io.StringIO(text.content))[:_TABLES]
    except (ValueError, ImportError):  # none that holds anything
        return []
    return [
        {
            "name": number,
            "read_with": f"pd.read_html({name!r}, encoding={text.encoding!r})[{number}]",
            **tables.describe(frame.head(SHEET_ROWS), rows=len(frame)),
        }
        for number, frame in enumerate(frames)
    ]
