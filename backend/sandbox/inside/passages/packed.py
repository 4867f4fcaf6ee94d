"""XML in ZIP, as Office files are: read as a stream, so that none can fill the memory."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Collection, Iterator
from typing import Any

_UNPACKED_BYTES = 100_000_000
"""Of one part; a document with more text than that is none."""


def opened(name: str) -> zipfile.ZipFile:
    """The archive.

    Raises:
        ValueError: it is none.
    """
    try:
        return zipfile.ZipFile(name)
    except zipfile.BadZipFile:
        with open(name, "rb") as file:
            locked = file.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        raise ValueError(
            "it is encrypted, or of an old format" if locked else "no Office file: it is damaged"
        ) from None


def elements(
    archive: zipfile.ZipFile, part: str, whole: Collection[str] = ()
) -> Iterator[tuple[str, str, Any]]:
    """The events of a part's elements, ``start`` or ``end``, with tag (no namespace) and element.

    An element is emptied when what follows it is asked for; within one whose tag is in ``whole``,
    when that one ends.

    Raises:
        ValueError: the part is too large when unpacked.
    """
    from xml.etree import ElementTree

    _require_modest(archive, part)
    with archive.open(part) as stream:
        within = 0
        for event, element in ElementTree.iterparse(stream, events=("start", "end")):
            tag = element.tag.rpartition("}")[2]
            yield event, tag, element
            if tag in whole:
                within += 1 if event == "start" else -1
            if event == "end" and not within:
                element.clear()


def wholes(archive: zipfile.ZipFile, part: str, tag: str) -> Iterator[Any]:
    """The elements of a tag with all that is in them: faster than ``elements`` where they are many.

    Raises:
        ValueError: the part is too large when unpacked.
    """
    from xml.etree import ElementTree

    _require_modest(archive, part)
    with archive.open(part) as stream:
        for _, element in ElementTree.iterparse(stream):
            if element.tag.endswith(tag) and element.tag.rpartition("}")[2] == tag:
                yield element
                element.clear()


def related(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """The other parts that a part names: id -> part."""
    folder, base = posixpath.split(part)
    listed = f"{folder}/_rels/{base}.rels"
    there = set(archive.namelist())
    found = {}
    for event, tag, element in elements(archive, listed) if listed in there else ():
        if event == "start" and tag == "Relationship":
            path = posixpath.normpath(posixpath.join(folder, element.get("Target", "")))
            if path.lstrip("/") in there:
                found[element.get("Id", "")] = path.lstrip("/")
    return found


def relation(element: Any) -> str:
    """The id by which an element names another part."""
    return next((value for key, value in element.attrib.items() if key.endswith("}id")), "")


def _require_modest(archive: zipfile.ZipFile, part: str) -> None:
    size = archive.getinfo(part).file_size
    if size > _UNPACKED_BYTES:
        raise ValueError(f"it unpacks to {size // 1_000_000} MB of text, which is not read")


def attribute(element: Any, name: str) -> str:
    """An attribute's value, whatever its namespace; '' where there is none."""
    return next((v for key, v in element.attrib.items() if key.rpartition("}")[2] == name), "")
