"""Markup: the elements of XML, the title and tables of HTML."""

from __future__ import annotations

import re
from collections import Counter

from . import texts
from .facts import NAME_CHARS, TABLE_ROWS, Facts, short


def inspect_xml(name: str) -> Facts:
    """The root, and the most frequent elements with their numbers."""
    from xml.etree import ElementTree

    tags: Counter[str] = Counter()
    root = ""
    for number, (_, element) in enumerate(ElementTree.iterparse(name, events=("start",))):
        tag = short(element.tag, NAME_CHARS)
        root = root or tag
        tags[tag] += 1
        if number >= TABLE_ROWS:
            break
    return {**texts.inspect(name), "root": root, "elements": dict(tags.most_common(30))}


def inspect_html(name: str) -> Facts:
    """The title and the number of tables."""
    text = texts.read(name)
    title = re.search(r"<title[^>]*>([^<]*)", text.content, re.IGNORECASE)
    return {
        **texts.describe(text),
        "title": short(title[1].strip()) if title else "",
        "table_elements": len(re.findall(r"<table\b", text.content, re.IGNORECASE)),
    }
