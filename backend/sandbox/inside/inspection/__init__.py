"""A program of its own: looks into the files named on its command line, prints what is in them.

It runs inside the sandbox, in the folder of the files, and prints one JSON list with one entry a
file: ``name, type, size`` and what its kind has to tell, or ``error``. Nothing but that goes to
stdout. It imports nothing of ours from outside; each library is imported when the first file needs
it. Bounds, so that a large file costs no more than a small one, are in ``facts``.
"""

from __future__ import annotations

import contextlib
import csv
import sys
import warnings

from . import files, output
from .facts import TEXT_BYTES


def main(max_bytes: int = output.MAX_BYTES) -> None:
    """Print the facts of all files; what libraries print goes to stderr.

    Args:
        max_bytes: how long the JSON text may be. Details go where it would be longer; of a file
            for which nothing else has room only ``type``, ``size`` and a ``note`` are told.
    """
    warnings.simplefilter("ignore")
    csv.field_size_limit(2 * TEXT_BYTES)
    with contextlib.redirect_stdout(sys.stderr):
        entries = [files.inspect(name) for name in sys.argv[1:]]
    print(output.as_json(entries, min(max_bytes, output.MAX_BYTES)))
