"""Archives that explode when they are looked into, and files that are traps for their readers."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, kept
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

BLOCK = bytes(1 << 20)
INSPECT = """
import os, sys
sys.path[:] = [place for place in sys.path if place != os.getcwd()]
from inside.inspection import main
main(200_000)
"""
"""What looks into uploads (see ``describe_files``), with ``argv`` naming them."""


def zipped(*files: tuple[str, bytes, int]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, block, times in files:
            with archive.open(name, "w", force_zip64=True) as entry:
                for _ in range(times):
                    entry.write(block)
    return out.getvalue()


def tarred(*members: tuple[str, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return out.getvalue()


def in_zips(depth: int) -> bytes:
    inner = zipped(("x", BLOCK, 20))
    for level in range(depth):
        inner = zipped(*[(f"{level}-{n}.zip", inner, 1) for n in range(10)])
    return inner


def gzipped() -> bytes:
    return gzip.compress(BLOCK * 30, 1) * 30  # members one after the other


BOMBS: dict[str, Callable[[], bytes]] = {
    "bomb.zip": lambda: zipped(("zeros.csv", BLOCK, 400)),
    "many.zip": lambda: zipped(*[(f"{n}", b"x", 1) for n in range(20_000)]),
    "nested.zip": lambda: in_zips(3),
    "names.zip": lambda: zipped(("../../etc/x", b"x", 1), ("/etc/x", b"x", 1), ("a\\b", b"x", 1)),
    "bomb.gz": gzipped,
    "bomb.csv.gz": gzipped,
    "bomb.xlsx": lambda: zipped(
        ("[Content_Types].xml", b"<Types/>", 1), ("xl/workbook.xml", BLOCK, 400)
    ),
    "bomb.docx": lambda: zipped(("word/document.xml", BLOCK, 400)),
    "links.tar.gz": lambda: tarred(
        ("a", tarfile.SYMTYPE, "/etc/passwd"),
        ("b", tarfile.LNKTYPE, "../../etc/shadow"),
        ("../../c", tarfile.REGTYPE, ""),
        ("d", tarfile.CHRTYPE, ""),
    ),
    "laughs.xml": lambda: (
        b"<!DOCTYPE x [<!ENTITY a0 'ha'>"
        + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
        + b"<!ENTITY f SYSTEM 'file:///etc/passwd'>]><x>&a11;&f;</x>"
    ),
    "deep.json": lambda: b"[" * 200_000 + b"]" * 200_000,
    "wide.csv": lambda: b",".join(b"%d" % n for n in range(300_000)) + b"\n",
    "bomb.png": lambda: (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06\0\0\0\0\0\0\0"
    ),
}


@pytest.fixture(scope="module")
def bombs(room: Path) -> Path:
    folder = room / "bombs"
    folder.mkdir()
    for name, make in BOMBS.items():
        (folder / name).write_bytes(make())
    return folder


@pytest.mark.parametrize("name", BOMBS)
def test_looking_into_it_ends(person: Person, canaries: Canaries, bombs: Path, name: str) -> None:
    answer = person.run(
        INSPECT, files={name: bombs / name}, argv=[name], timeout_s=8, memory_mb=512
    )
    kept(answer, canaries)
    assert not answer.error
    assert answer.stopped_by in (None, "memory", "timeout", "cpu"), answer
    assert "nobody:x:" not in answer.stdout
    assert len(answer.stdout) < 300_000


UNPACK = {
    "bomb.zip": "import zipfile; zipfile.ZipFile('bomb.zip').extractall('out')",
    "many.zip": "import zipfile; zipfile.ZipFile('many.zip').extractall('out')",
    "names.zip": "import zipfile; zipfile.ZipFile('names.zip').extractall('out')",
    "bomb.gz": "import gzip; open('out', 'wb').write(gzip.open('bomb.gz').read())",
    "links.tar.gz": "import tarfile; tarfile.open('links.tar.gz').extractall('out')",
}


@pytest.mark.parametrize("name", UNPACK)
def test_unpacking_it_stays_inside(
    person: Person, canaries: Canaries, bombs: Path, name: str, check: bool
) -> None:
    answer = person.run(
        PRELUDE + UNPACK[name], check=check, files={name: bombs / name}, timeout_s=20
    )
    kept(answer, canaries)
    if check and answer.issues:
        return
    assert answer.stdout.startswith(MARKER), answer
    assert answer.stopped_by in (None, "memory", "disk", "timeout", "cpu"), answer
    if name.startswith("bomb"):
        assert not answer.success
    contents = b"".join(content for _, content in answer.artifacts.values())
    assert b"nobody:x:" not in contents
    assert b"root:" not in contents
