"""Which version this is, as it was installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def product_version() -> str:
    """The installed version."""
    try:
        return version("python-coder")
    except PackageNotFoundError:
        return "unknown"
