from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.inside.inspection.program import look, look_at


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "t.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "error" in look(tmp_path, "t.npy")[0]


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
