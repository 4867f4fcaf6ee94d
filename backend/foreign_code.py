"""What everyone goes by who parses a program that somebody else wrote."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_CODE_CHARS: Final = 262_144
"""Characters a program may have. Parsing that much takes well under two seconds; a program
that is longer holds data, which belongs into a file."""

# Filters of `warnings` belong to the whole process; two threads must not restore each other's.
_LOCK: Final = threading.Lock()


@contextmanager
def quiet_compiler() -> Iterator[None]:
    """Keep the compiler's warnings about somebody else's text from becoming ours."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
