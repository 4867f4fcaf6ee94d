from __future__ import annotations

from pathlib import Path

import pytest

from backend.cli.folder import OutputFolder, safe_name
from backend.errors import RequestError

NAMES = {
    "plain": ("plot.png", "plot.png"),
    "in a folder": ("out/plot.png", "out/plot.png"),
    "up and out": ("../../etc/passwd", "etc/passwd"),
    "absolute": ("/etc/passwd", "etc/passwd"),
    "backslashes": ("..\\..\\boot.ini", "boot.ini"),
    "drive": ("C:\\x.txt", "C_/x.txt"),
    "hidden": (".bashrc", "_bashrc"),
    "hidden folder": (".ssh/authorized_keys", "_ssh/authorized_keys"),
    "like an option": ("-rf", "_-rf"),
    "control characters": ("a\x1b[2Jb\n.txt", "a_[2Jb_.txt"),
    "direction override": ("a\u202etxt.exe", "a_txt.exe"),
    "lone surrogate": ("a\udce4.txt", "a.txt"),
    "dots only": ("../..", "file"),
    "empty": ("", "file"),
    "null": ("a\0b", "a_b"),
    "not ASCII": ("größe.png", "größe.png"),
}


@pytest.mark.parametrize(("name", "safe"), NAMES.values(), ids=NAMES)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["ä" * 500 + ".csv", "x" * 500], ids=["with ending", "without"])
def test_a_long_name_is_cut_and_keeps_its_ending(tmp_path: Path, name: str) -> None:
    place = OutputFolder(tmp_path).write(name, b"1")
    assert place.read_bytes() == b"1"
    assert place.suffix == Path(name).suffix


@pytest.mark.parametrize("name", [name for name, _ in NAMES.values()], ids=NAMES)
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    place = OutputFolder(tmp_path / "out").write(name, b"x")
    assert place.resolve().is_relative_to(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(b"mine")
    place = OutputFolder(tmp_path).write("plot.png", b"new")
    assert (tmp_path / "plot.png").read_bytes() == b"mine"
    assert (place.name, place.read_bytes()) == ("plot_2.png", b"new")


def test_the_same_content_is_not_written_twice(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(b"same")
    assert OutputFolder(tmp_path).write("plot.png", b"same").name == "plot.png"
    assert len(list(tmp_path.iterdir())) == 1


def test_overwrite_replaces_what_was_there_but_never_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"old")
    folder = OutputFolder(tmp_path, overwrite=True)
    first, second = folder.write("a.txt", b"1"), folder.write("a.txt", b"2")
    assert (first.name, first.read_bytes()) == ("a.txt", b"1")
    assert (second.name, second.read_bytes()) == ("a_2.txt", b"2")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_is_never_written_through(tmp_path: Path, overwrite: bool) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").symlink_to(victim)
    OutputFolder(out, overwrite=overwrite).write("a.txt", b"new")
    assert victim.read_bytes() == b"precious"


def test_a_linked_folder_does_not_lead_out(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    out.mkdir()
    (out / "sub").symlink_to(elsewhere)
    place = OutputFolder(out).write("sub/deep/a.txt", b"new")
    assert place.parent == out
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_gone_around(tmp_path: Path) -> None:
    (tmp_path / "sub").write_bytes(b"mine")
    assert OutputFolder(tmp_path).write("sub/a.txt", b"new").name == "sub_a.txt"


def test_a_folder_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="Nothing can be written"):
        OutputFolder(tmp_path / "file" / "sub")
