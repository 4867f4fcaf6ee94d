"""The host's reading of frames, fed with frames that no honest keeper would send."""

from __future__ import annotations

import asyncio

import pytest

from backend.sandbox.executors.local.report import Reader, Report, harmless_name
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import ArtifactCaps


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(4, "little") + payload


async def read(data: bytes, caps: ArtifactCaps | None = None) -> Report:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    reader = Reader(stream, caps or ArtifactCaps())
    await reader.read_all()
    assert reader.started.is_set()
    assert reader.over.is_set()
    return reader.report


async def test_a_whole_report_is_read() -> None:
    report = await read(
        frame(wire.READY, b"pid=pid:[1]\nuid=65534")
        + frame(wire.STARTED, b"rlimits\nseccomp")
        + frame(wire.ENDED, b"256 - 1500000 2048")
        + frame(wire.VALUE, b"42")
        + frame(wire.ARTIFACT, b"3 a.txt")
        + b"abc"
        + frame(wire.NOTE, b"links (1)")
        + frame(wire.DONE)
    )
    assert report.standing == {"pid": "pid:[1]", "uid": "65534"}
    assert report.walls == ("rlimits", "seccomp")
    assert (report.status, report.stopped, report.cpu_s, report.max_rss_kb) == (256, "", 1.5, 2048)
    assert (report.value, report.ended, report.done) == ("42", True, True)
    assert report.artifacts[0].content == b"abc"
    assert report.notes == ["Not handed out: links (1)."]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"e\x05", id="cut off"),
        pytest.param(b"e\xff\xff\xff\xff", id="endless frame"),
        pytest.param(frame(b"?", b"x"), id="unknown kind"),
        pytest.param(frame(wire.ENDED, b"zero - 0 0"), id="status that is no number"),
        pytest.param(frame(wire.ENDED, b"0"), id="end without numbers"),
        pytest.param(frame(wire.READY, b"no equals sign"), id="malformed standing"),
        pytest.param(frame(wire.ARTIFACT, b"-1 a"), id="negative size"),
        pytest.param(frame(wire.ARTIFACT, b"99999999999 a"), id="size beyond the cap"),
        pytest.param(frame(wire.ARTIFACT, b"5 a") + b"abc", id="artifact cut off"),
        pytest.param(frame(wire.ARTIFACT, b"a"), id="artifact without a size"),
    ],
)
async def test_what_is_malformed_ends_the_reading_and_nothing_else(data: bytes) -> None:
    report = await read(data)
    assert not report.done
    assert report.artifacts == []


async def test_more_artifacts_than_allowed_are_not_taken() -> None:
    one = frame(wire.ARTIFACT, b"1 a") + b"x"
    report = await read(one * 5 + frame(wire.DONE), ArtifactCaps(files=3))
    assert [artifact.name for artifact in report.artifacts] == ["a", "a~2", "a~3"]
    assert not report.done


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a/b.txt", "a/b.txt"),
        (b"/etc/passwd", "etc/passwd"),
        (b"../../x", "x"),
        (b"a/./../b", "a/b"),
        (b"", "unnamed"),
        (b"..", "unnamed"),
        (b"\xff", "\\xff"),
        (b"a\nb", "a\\nb"),
        (b"\x1b[31m", "\\x1b[31m"),
        ("\u202egnp.exe".encode(), "\\u202egnp.exe"),
        ("한글.png".encode(), "한글.png"),
        (b"a b", "a b"),
    ],
)
def test_names_are_made_harmless(raw: bytes, name: str) -> None:
    assert harmless_name(raw) == name
