"""Arrays: HDF5, NetCDF and NumPy's own files, by shape and dtype."""

from __future__ import annotations

from typing import Any

from .facts import ENTRIES, NAME_CHARS, Facts, plain, short

_MAX_VALUES = 10_000_000


def inspect_hdf(name: str) -> Facts:
    """The groups at the top and all datasets."""
    import h5py

    found: list[Facts] = []
    with h5py.File(name, "r") as file:

        def note(path: str, item: Any) -> bool | None:
            if isinstance(item, h5py.Dataset):
                found.append(_dataset(path, item.shape or (), item.dtype))
            return True if len(found) == ENTRIES else None  # anything but None ends the visit

        file.visititems(note)
        groups = [short(group, NAME_CHARS) for group in list(file)[:ENTRIES]]
    return {"groups": groups, "datasets": found}


def inspect_netcdf(name: str) -> Facts:
    """Dimensions and variables; the newer format is HDF5."""
    with open(name, "rb") as opened:
        classic = opened.read(3) == b"CDF"
    if not classic:
        return inspect_hdf(name)
    from scipy.io import netcdf_file

    with netcdf_file(name, "r", mmap=False) as file:
        variables = list(file.variables.items())[:ENTRIES]
        return {
            "dimensions": dict(list(file.dimensions.items())[:ENTRIES]),
            "datasets": [_dataset(key, item.shape, item.data.dtype) for key, item in variables],
        }


def inspect_array(name: str) -> Facts:
    """Shape, dtype, range and first values; nothing is unpickled."""
    import numpy as np

    array = np.load(name, mmap_mode="r", allow_pickle=False)
    facts: Facts = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.dtype.kind in "iufb" and 0 < array.size <= _MAX_VALUES:
        facts["min"], facts["max"] = plain(np.nanmin(array)), plain(np.nanmax(array))
    facts["preview"] = short(repr(array.ravel()[:10].tolist()), 300)
    return facts


def inspect_arrays(name: str) -> Facts:
    """Shape and dtype of each array of an archive; nothing is unpickled."""
    import numpy as np

    found = []
    with np.load(name, allow_pickle=False) as archive:
        for key in archive.files[:ENTRIES]:
            array = archive[key]
            shape, dtype = list(array.shape), str(array.dtype)
            found.append({"name": short(key, NAME_CHARS), "shape": shape, "dtype": dtype})
    return {"arrays": found}


def _dataset(path: str, shape: Any, dtype: Any) -> Facts:
    return {"path": short(path, NAME_CHARS), "shape": list(shape), "dtype": short(str(dtype), 300)}
