from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.inside.inspection.program import look, look_at


class Trap:
    """Unpickling it leaves a file behind."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_pickled_arrays_are_told_but_not_loaded(tmp_path: Path, ending: str) -> None:
    np = pytest.importorskip("numpy")
    array = np.array([Trap()], dtype=object)
    if ending == "npy":
        np.save(tmp_path / "t.npy", array, allow_pickle=True)
    else:
        np.savez(tmp_path / "t.npz", a=array)
    facts = look(tmp_path, f"t.{ending}")[0]
    told = facts if ending == "npy" else facts["arrays"][0]
    assert (told["shape"], told["dtype"]) == ([1], "object")
    assert "allow_pickle=True" in facts["read_with"]
    assert not (tmp_path / "sprung").exists()


def test_a_broken_array_is_an_error_in_one_line(tmp_path: Path) -> None:
    assert look_at(tmp_path, "t.npy", b"\x93NUMPY\x01\x00")["error"].isprintable()


def test_datasets_without_values_and_beyond_the_bound_are_no_trouble(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["empty"] = h5py.Empty("f4")
        for number in range(100):
            file[f"set{number:03}"] = [number]
    datasets = look(tmp_path, "t.h5")[0]["datasets"]
    assert len(datasets) == 60
    assert datasets[0] == {"path": "empty", "shape": [], "dtype": "float32"}
