"""Types of files: those that come in, and the media type of whatever a program wrote."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

from backend.errors import RequestError

SUPPORTED_FILE_TYPES: Mapping[str, str] = MappingProxyType(
    {
        # tables
        "csv": "text/csv",
        "tsv": "text/tab-separated-values",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xls": "application/vnd.ms-excel",
        "ods": "application/vnd.oasis.opendocument.spreadsheet",
        "parquet": "application/vnd.apache.parquet",
        "feather": "application/vnd.apache.arrow.file",
        "sqlite": "application/vnd.sqlite3",
        "db": "application/vnd.sqlite3",
        # arrays
        "h5": "application/x-hdf5",
        "nc": "application/x-netcdf",
        "npy": "application/x-npy",
        "npz": "application/x-npz",
        # trees
        "json": "application/json",
        "jsonl": "application/jsonl",
        "xml": "application/xml",
        "yaml": "application/yaml",
        "yml": "application/yaml",
        "toml": "application/toml",
        "ini": "text/plain",
        # texts
        "txt": "text/plain",
        "md": "text/markdown",
        "log": "text/plain",
        "html": "text/html",
        "py": "text/x-python",
        # documents
        "pdf": "application/pdf",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        # pictures
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        # archives
        "zip": "application/zip",
    }
)
"""The types of input file there are: ending without its dot -> media type."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PK\x03\x04", "application/zip"),
)
_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "application/pdf"})


def require_supported(filename: str, size: int) -> str:
    """The media type of a file that comes in.

    Raises:
        RequestError: programs have no use for the type, or there is nothing in it.
    """
    extension = PurePath(filename).suffix.lower().removeprefix(".")
    shown = repr(filename[-200:])
    if extension not in SUPPORTED_FILE_TYPES:
        known = ", ".join(sorted(SUPPORTED_FILE_TYPES))
        raise RequestError(f"{shown} has no supported type.", f"Supported: {known}.", param="file")
    if size == 0:
        raise RequestError(
            f"{shown} is empty (0 bytes).", "Give a file with data in it.", param="file"
        )
    return SUPPORTED_FILE_TYPES[extension]


def shown_type(declared: str, head: bytes) -> str:
    """What a file is, by how it begins, where that is a type that browsers show; else as declared.

    A picture called ``a.csv`` is a picture. Office files and archives begin alike, so those stay
    what their names say.
    """
    for signature, kind in _SIGNATURES:
        if kind in _SHOWN and head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return declared


def media_type(name: str, content: bytes) -> str:
    """By the name's extension, else by how the content begins."""
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    known = SUPPORTED_FILE_TYPES.get(extension) or mimetypes.guess_type(name, strict=False)[0]
    if known:
        return known
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            return kind
    return "text/plain" if _is_text(content[:4096]) else "application/octet-stream"


def _is_text(sample: bytes) -> bool:
    if b"\0" in sample:
        return False
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(sample) - 3
    return True
