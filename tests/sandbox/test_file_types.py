from __future__ import annotations

import pytest

from backend.sandbox.file_types import media_type


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", b"", "image/png"),
        ("a.CSV", b"", "text/csv"),
        ("a.xlsx", b"", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.parquet", b"", "application/vnd.apache.parquet"),
        ("a.npy", b"", "application/x-npy"),
        ("a.svg", b"", "image/svg+xml"),
        ("plot", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("paper", b"%PDF-1.7", "application/pdf"),
        ("README", "글".encode(), "text/plain"),
        ("cut", b"x" * 4095 + "글".encode(), "text/plain"),
        ("raw", b"\0\1\2", "application/octet-stream"),
        ("raw", b"\xff\xfe\xfd" * 9, "application/octet-stream"),
        (".hidden", b"text", "text/plain"),
    ],
)
def test_the_media_type_is_told_by_name_then_by_content(
    name: str, content: bytes, kind: str
) -> None:
    assert media_type(name, content) == kind
