"""One file of any kind: which module reads it, and what is said when it cannot."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from . import (
    archives,
    arrays,
    columnar,
    databases,
    delimited,
    documents,
    markup,
    pictures,
    sources,
    spreadsheets,
    texts,
    trees,
)
from .facts import Facts, short

_SECONDS = 10.0
"""That one file may take, so that the others are told all the same."""

_READERS: dict[str, Callable[[str], Facts]] = {
    **dict.fromkeys(("csv", "tsv"), delimited.inspect),
    **dict.fromkeys(("yaml", "yml"), trees.inspect_yaml),
    **dict.fromkeys(("xlsx", "xls", "ods"), spreadsheets.inspect),
    **dict.fromkeys(("sqlite", "db"), databases.inspect),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "tiff"), pictures.inspect),
    "txt": delimited.inspect_text,
    "log": delimited.inspect_log,
    "md": texts.inspect_markdown,
    "py": sources.inspect,
    "json": trees.inspect_json,
    "jsonl": trees.inspect_json_lines,
    "toml": trees.inspect_toml,
    "ini": trees.inspect_ini,
    "xml": markup.inspect_xml,
    "html": markup.inspect_html,
    "parquet": columnar.inspect_parquet,
    "feather": columnar.inspect_feather,
    "h5": arrays.inspect_hdf,
    "nc": arrays.inspect_netcdf,
    "npy": arrays.inspect_array,
    "npz": arrays.inspect_arrays,
    "pdf": documents.inspect_pdf,
    "docx": documents.inspect_word,
    "pptx": documents.inspect_slides,
    "zip": archives.inspect,
}


class TookTooLong(BaseException):
    """It has lasted long enough. Of no kind that a library would catch and carry on."""


def inspect(name: str, seconds: float = _SECONDS) -> Facts:
    """All there is to say about one file; its own trouble is told, never raised."""
    kind = name.rpartition(".")[2].lower() if "." in os.path.basename(name) else ""
    facts: Facts = {"name": name, "type": short(kind, 20)}
    try:
        facts["size"] = os.path.getsize(name)
        if not facts["size"]:
            raise ValueError("the file is empty (0 bytes)")
        with at_most(seconds):
            facts.update(_READERS.get(kind, _size_only)(name))
    except MemoryError:
        facts["note"] = "size only: looking into it takes more memory than there is"
    except TookTooLong:
        facts["note"] = f"size only: looking into it took more than {seconds:g} seconds"
    except ImportError as error:
        facts["note"] = f"size only: {short(str(error))}"
    except Exception as error:
        said = short(" ".join(str(error).split()), 300)
        facts["error"] = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return facts


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise ``TookTooLong`` in what is done meanwhile, if it is not done by then."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TookTooLong

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _size_only(name: str) -> Facts:
    return {"note": "size only"}
