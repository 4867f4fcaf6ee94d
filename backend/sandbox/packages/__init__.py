"""Packages that programs lack: named, and installed where the operator allows it."""

from __future__ import annotations

from backend.sandbox.packages.installer import Installed, PackageInstaller
from backend.sandbox.packages.names import missing_module

__all__ = ["Installed", "PackageInstaller", "missing_module"]
