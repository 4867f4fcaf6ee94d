"""Words of others without what is not words: control characters, markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # titles, links and the like
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing."""


def visible(text: str) -> str:
    """A text without terminal escapes, control characters and lone surrogates."""
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", lines).encode("utf-8", "backslashreplace").decode()


def words_of(markdown: str) -> str:
    """A Markdown text as plain text: its words, lists with dashes, tables in columns."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    # HTML is text like any other: shown, not understood.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return visible(_blocks(SyntaxTreeNode(parser.parse(visible(markdown))).children))


def _blocks(nodes: list[SyntaxTreeNode], between: str = "\n\n") -> str:
    return between.join(text for node in nodes if (text := _block(node)))


def _block(node: SyntaxTreeNode) -> str:
    if node.type in ("bullet_list", "ordered_list"):
        return _list(node)
    if node.type == "table":
        return _table(node)
    if node.type in ("fence", "code_block"):
        return node.content.rstrip("\n")
    if node.type == "inline":
        return _inline(node)
    return _blocks(node.children)


def _list(node: SyntaxTreeNode) -> str:
    first = int(node.attrs.get("start", 1))
    is_ordered = node.type == "ordered_list"
    items = []
    for number, item in enumerate(node.children, first):
        mark = f"{number}. " if is_ordered else "- "
        inside = _blocks(item.children, "\n").replace("\n", "\n" + " " * len(mark))
        items.append(mark + inside)
    return "\n".join(items)


def _table(node: SyntaxTreeNode) -> str:
    rows = [[_inline(cell) for cell in row.children] for row in node.walk() if row.type == "tr"]
    return aligned(rows)


def aligned(rows: list[list[str]]) -> str:
    """Rows of one length as columns, two spaces between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _inline(node: SyntaxTreeNode) -> str:
    if node.type in ("softbreak", "hardbreak"):
        return "\n"
    if node.type == "image":
        return _with_target(node.content, str(node.attrs.get("src", "")))
    inside = "".join(_inline(child) for child in node.children)
    if node.type == "link":
        return _with_target(inside, str(node.attrs.get("href", "")))
    return inside if node.children else node.content


def _with_target(words: str, target: str) -> str:
    return words if words == target or not target else f"{words} ({target})".lstrip()
