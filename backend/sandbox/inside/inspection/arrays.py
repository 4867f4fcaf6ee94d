"""Arrays: HDF5, NetCDF and NumPy's own files, by shape and dtype."""

from __future__ import annotations

from typing import Any

from .facts import ENTRIES, NAME_CHARS, Facts, plain, short

_MAX_VALUES = 5_000_000
"""An array with more values is not gone through."""
_ATTRIBUTES = 20


def inspect_hdf(name: str) -> Facts:
    """The groups at the top and all datasets, with their attributes."""
    import h5py

    found: list[Facts] = []
    with h5py.File(name, "r") as file:

        def note(path: str, item: Any) -> bool | None:
            if isinstance(item, h5py.Dataset):
                found.append(_dataset(path, item.shape or (), item.dtype, item.attrs))
            return True if len(found) == ENTRIES else None  # anything but None ends the visit

        file.visititems(note)
        groups = [short(group, NAME_CHARS) for group in list(file)[:ENTRIES]]
        facts: Facts = {"groups": groups, "datasets": found, **_attributes(file.attrs)}
    if found:
        path = found[0]["path"]
        facts["read_with"] = f"import h5py; h5py.File({name!r}, 'r')[{path!r}][()]"
    return facts


def inspect_netcdf(name: str) -> Facts:
    """Dimensions and variables with their units; the newer format is HDF5."""
    with open(name, "rb") as opened:
        classic = opened.read(3) == b"CDF"
    if not classic:
        return inspect_hdf(name)
    from scipy.io import netcdf_file

    # Mapped, so that nothing is read but the head; closing would warn of the views still held.
    file = netcdf_file(name, "r", mmap=True)
    variables = list(file.variables.items())[:ENTRIES]
    facts: Facts = {
        "dimensions": {
            short(key, NAME_CHARS): length
            for key, length in list(file.dimensions.items())[:ENTRIES]
        },
        "datasets": [
            _dataset(key, item.shape, item.data.dtype, item._attributes)
            | {"dimensions": list(item.dimensions)}
            for key, item in variables
        ],
        **_attributes(file._attributes),
    }
    if variables:
        opened_file = f"import scipy.io; scipy.io.netcdf_file({name!r}, mmap=False)"
        facts["read_with"] = f"{opened_file}.variables[{variables[0][0]!r}][:]"
    return facts


def inspect_array(name: str) -> Facts:
    """Shape, dtype, range and first values; nothing is unpickled."""
    import numpy as np

    read_with = f"np.load({name!r})"
    try:
        array = np.load(name, mmap_mode="r", allow_pickle=False)
    except ValueError:
        shape, dtype = _header(name)
        if not dtype.hasobject:
            raise
        read_with = f"np.load({name!r}, allow_pickle=True)"
        note = "Python objects, which are not looked into"
        return {"shape": list(shape), "dtype": str(dtype), "read_with": read_with, "note": note}
    facts: Facts = {"shape": list(array.shape), "dtype": short(str(array.dtype), 300)}
    facts["read_with"] = read_with
    if array.dtype.kind in "iufb" and 0 < array.size <= _MAX_VALUES:
        facts["min"], facts["max"] = plain(np.nanmin(array)), plain(np.nanmax(array))
    facts["preview"] = short(repr(array.ravel()[:10].tolist()), 300)
    return facts


def inspect_arrays(name: str) -> Facts:
    """Shape and dtype of each array of an archive, from their heads alone."""
    import zipfile

    found: list[Facts] = []
    needs_pickle = False
    with zipfile.ZipFile(name) as archive:
        members = [member for member in archive.namelist() if member.endswith(".npy")]
        for member in members[:ENTRIES]:
            with archive.open(member) as file:
                shape, dtype = _header(file)
            needs_pickle |= dtype.hasobject
            key = short(member.removesuffix(".npy"), NAME_CHARS)
            found.append({"name": key, "shape": list(shape), "dtype": short(str(dtype), 300)})
    facts: Facts = {"arrays": found}
    if found:
        option = ", allow_pickle=True" if needs_pickle else ""
        facts["read_with"] = f"np.load({name!r}{option})[{found[0]['name']!r}]"
    return facts


def _header(source: Any) -> tuple[Any, Any]:
    """Shape and dtype of a .npy file, by name or opened."""
    from numpy.lib import format as npy

    if isinstance(source, str):
        with open(source, "rb") as file:
            return _header(file)
    version = npy.read_magic(source)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(source)
    return shape, dtype


def _dataset(path: str, shape: Any, dtype: Any, attributes: Any) -> Facts:
    shown = {"shape": list(shape), "dtype": short(str(dtype), 300)}
    return {"path": short(path, NAME_CHARS), **shown, **_attributes(attributes)}


def _attributes(attributes: Any) -> Facts:
    told: Facts = {}
    for key in list(attributes)[:_ATTRIBUTES]:
        if key in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_Netcdf4Dimid"):
            continue  # how the library that wrote it ties dimensions to variables
        value = attributes[key]
        value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        told[short(str(key))] = plain(value)
    return {"attributes": told} if told else {}
