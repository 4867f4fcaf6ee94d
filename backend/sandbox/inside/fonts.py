"""The list of fonts that matplotlib makes at its first use, which takes seconds: made once, kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

_PREFIX = "fontlist"


def made_here() -> Iterable[tuple[str, str]]:
    """Name and text of each list that this process had to make itself."""
    folder = os.environ.get("MPLCONFIGDIR", "")
    kept = os.environ.get("PYTHON_CODER_FONTS", "")
    if "matplotlib.font_manager" not in sys.modules or not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        if name.startswith(_PREFIX) and not os.path.exists(f"{kept}/{name}"):
            with open(f"{folder}/{name}", encoding="utf-8") as text:
                yield name, text.read()
