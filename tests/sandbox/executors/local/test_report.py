"""The host's reading of frames, fed with frames that no honest keeper would send."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from backend.sandbox.executors.local.report import Reader, Report, harmless_name
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import ArtifactCaps


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(4, "little") + payload


def fed(data: bytes, caps: ArtifactCaps | None = None) -> Reader:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return Reader(stream, caps or ArtifactCaps())


async def read(data: bytes, caps: ArtifactCaps | None = None) -> Report:
    reader = fed(data, caps)
    await reader.read_report()
    assert reader.closed or reader.report.done
    return reader.report


async def test_a_keeper_says_what_it_is() -> None:
    reader = fed(frame(wire.READY, b"pid=pid:[1]\nuid=65534\nrlimits\nseccomp"))
    await reader.read_ready()
    assert reader.standing == {"pid": "pid:[1]", "uid": "65534"}
    assert reader.walls == ("rlimits", "seccomp")


@pytest.mark.parametrize(
    ("data", "failure"),
    [(b"", ""), (frame(wire.FAILED, b"no landlock"), "no landlock"), (frame(b"?"), "")],
    ids=["silence", "failure", "nonsense"],
)
async def test_a_keeper_that_does_not_stand_is_told(data: bytes, failure: str) -> None:
    reader = fed(data)
    await reader.read_ready()
    assert not reader.standing
    assert reader.report.failure == failure


async def test_a_whole_report_is_read() -> None:
    report = await read(
        frame(wire.STARTED)
        + frame(wire.ENDED, b"256 - 1500000")
        + frame(wire.VALUE, b"42")
        + frame(wire.ARTIFACT, b"3 a.txt")
        + b"abc"
        + frame(wire.NOTE, b"links (1)")
        + frame(wire.DONE)
    )
    assert (report.status, report.stopped, report.cpu_s) == (256, "", 1.5)
    assert report.claims == {wire.VALUE: b"42"}
    assert (report.started, report.ended, report.done) == (True, True, True)
    assert report.artifacts[0].content == b"abc"
    assert report.notes == ["Not handed out: links (1)."]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"e\x05", id="cut off"),
        pytest.param(b"e\xff\xff\xff\xff", id="endless frame"),
        pytest.param(frame(b"?", b"x"), id="unknown kind"),
        pytest.param(frame(wire.ENDED, b"zero - 0"), id="status that is no number"),
        pytest.param(frame(wire.ENDED, b"0"), id="end without numbers"),
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


async def test_reading_that_was_cut_short_goes_on_where_it_was() -> None:
    stream = asyncio.StreamReader()
    reader = Reader(stream, ArtifactCaps())
    whole = frame(wire.STARTED) + frame(wire.ENDED, b"0 - 0") + frame(wire.DONE)
    for place in range(len(whole)):
        stream.feed_data(whole[place : place + 1])
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await reader.read_report()
    assert (reader.report.ended, reader.report.done, reader.closed) == (True, True, False)
