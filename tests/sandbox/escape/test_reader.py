"""The host's reading of what comes out: any bytes, and frames that were tampered with."""

from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.sandbox.executors.local.report import Reader, Report, harmless_name
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import ArtifactCaps

KINDS = sorted(
    {value for value in vars(wire).values() if isinstance(value, bytes) and len(value) == 1}
)

CAPS = ArtifactCaps(files=3, file_bytes=100, total_bytes=200)


async def read(data: bytes) -> Report:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    reader = Reader(stream, CAPS)
    async with asyncio.timeout(10):
        await reader.read_ready()
        await reader.read_report()
    assert reader.closed or reader.report.done or reader.report.failure
    return reader.report


def within_the_caps(report: Report) -> None:
    assert len(report.artifacts) <= CAPS.files
    assert all(artifact.size <= CAPS.file_bytes for artifact in report.artifacts)
    assert sum(artifact.size for artifact in report.artifacts) <= CAPS.total_bytes
    for artifact in report.artifacts:
        assert artifact.size == len(artifact.content)
        assert artifact.name.isprintable()
        assert not artifact.name.startswith("/")
        assert ".." not in artifact.name.split("/")
    assert len({artifact.name for artifact in report.artifacts}) == len(report.artifacts)


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "little") + payload


ENDLESS = b"9" * 400
WORDS = st.sampled_from(
    (
        *(b"", b"0 - 0", b"256 memory 15", b"a=b", b"a=b\nc", b"3 a", b"3 ../a", b"99 x", b"-1 x"),
        *(b"0 - " + ENDLESS, ENDLESS + b" - 0", ENDLESS * 12 + b" x", b"1_0 x", b"0 - nan"),
    )
)
FRAMES = st.builds(
    lambda kind, payload, rest: frame(kind, payload) + rest,
    st.sampled_from(KINDS),
    WORDS | st.binary(max_size=40),
    st.sampled_from([b"", b"abc"]) | st.binary(max_size=5),
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end_the_reading_and_no_more(data: bytes) -> None:
    within_the_caps(asyncio.run(read(data)))


@settings(max_examples=500, deadline=None)
@example([frame(wire.ENDED, b"0 - " + ENDLESS)], 900, b"")
@given(st.lists(FRAMES, max_size=12), st.integers(0, 900), st.binary(max_size=3))
def test_frames_that_were_tampered_with_end_it_too(
    parts: list[bytes], place: int, put: bytes
) -> None:
    data = b"".join(parts)
    within_the_caps(asyncio.run(read(data[:place] + put + data[place + len(put) :])))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "ignore"))
)
def test_any_name_becomes_a_harmless_one(raw: bytes) -> None:
    name = harmless_name(raw)
    assert name.isprintable()
    assert name and not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/"))
