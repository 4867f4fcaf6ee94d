"""A program of its own: looks into the files named on its command line, prints what is in them.

It runs inside the sandbox, in the folder of the files, and prints one JSON list with one entry a
file: ``name, type, size`` and what its kind has to tell, or ``error``. Nothing but that goes to
stdout. It imports nothing of ours; each library is imported when the first file needs it.

Bounds, so that a large file costs no more than a small one: facts come from the first
``TABLE_ROWS`` rows of a table (``SHEET_ROWS`` of a sheet), texts from the first ``TEXT_BYTES``.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

TABLE_ROWS = 100_000
SHEET_ROWS = 5_000
TEXT_BYTES = 4_000_000
COLUMNS = 150
PREVIEW_ROWS = 5
PREVIEW_LINES = 20
ENTRIES = 60
OUTPUT_CHARS = 150_000

Facts = dict[str, Any]


def inspect(name: str) -> Facts:
    """All there is to say about one file; its own trouble is told, never raised."""
    kind = name.rpartition(".")[2].lower() if "." in os.path.basename(name) else ""
    facts: Facts = {"name": name, "type": kind}
    try:
        facts["size"] = os.path.getsize(name)
        if not facts["size"]:
            raise ValueError("the file is empty (0 bytes)")
        facts.update(_READERS.get(kind, _size_only)(name))
    except MemoryError:
        facts["note"] = "size only: looking into it takes more memory than there is"
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        facts["error"] = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return facts


def _size_only(name: str) -> Facts:
    return {"note": "size only"}


# --- texts -------------------------------------------------------------------------------------


def _text(name: str) -> tuple[str, str, bool]:
    """The beginning of a text, its encoding, and whether that is all of it."""
    with open(name, "rb") as file:
        raw = file.read(TEXT_BYTES + 1)
    whole = len(raw) <= TEXT_BYTES
    encoding = _encoding(raw)
    return raw.decode(encoding, "ignore" if not whole else "replace"), encoding, whole


def _encoding(raw: bytes) -> str:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"),
        (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
    ):  # fmt: skip
        if raw.startswith(mark):
            return encoding
    if b"\0" in raw[:65536]:
        raise ValueError("binary data, not the text that its name says")
    if _decodes(raw, "utf-8"):
        return "utf-8"
    control = sum(byte < 9 or 13 < byte < 32 for byte in raw[:65536])
    if control * 50 > min(len(raw), 65536):
        raise ValueError("binary data, not the text that its name says")
    import chardet

    guess = (chardet.detect(raw[:65536])["encoding"] or "").lower()
    guess = "cp949" if guess in ("euc-kr", "uhc", "johab") else guess
    return next((e for e in (guess, "cp949", "cp1252") if e and _decodes(raw, e)), "latin-1")


def _decodes(raw: bytes, encoding: str) -> bool:
    for cut in range(4 if len(raw) > TEXT_BYTES else 1):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            raw[: len(raw) - cut].decode(encoding)
            return True
    return False


def _plain_text(name: str) -> Facts:
    text, encoding, whole = _text(name)
    lines = text.splitlines()
    facts: Facts = {"encoding": encoding, "lines": len(lines), "preview": _head(lines)}
    if not whole:
        facts["note"] = f"lines counted in the first {TEXT_BYTES} bytes only"
    return facts


def _head(lines: list[str]) -> list[str]:
    return [_short(line, 200) for line in lines[:PREVIEW_LINES]]


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _maybe_table(name: str) -> Facts:
    """A .txt or .log that is really a table is described as one."""
    text, _, _ = _text(name)
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    delimiter, width = _delimiter(lines)
    even = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
    if len(lines) >= 3 and width > 1 and set(even) == {width}:
        return _delimited(name)
    return _plain_text(name)


def _structured(load: Callable[[str], Any]) -> Callable[[str], Facts]:
    def read(name: str) -> Facts:
        text, _, whole = _text(name)
        facts = _plain_text(name)
        if whole:
            facts["structure"] = _paths(load(text))
        return facts

    return read


def _load_yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _load_toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _load_ini(text: str) -> Any:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _xml(name: str) -> Facts:
    from xml.etree import ElementTree

    tags: Counter[str] = Counter()
    root = ""
    for number, (_, element) in enumerate(ElementTree.iterparse(name, events=("start",))):
        root = root or element.tag
        tags[element.tag] += 1
        if number >= TABLE_ROWS:
            break
    return {**_plain_text(name), "root": root, "elements": dict(tags.most_common(30))}


def _html(name: str) -> Facts:
    facts = _plain_text(name)
    text = _text(name)[0]
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    facts["title"] = _short(title[1].strip()) if title else ""
    facts["table_elements"] = len(re.findall(r"<table\b", text, re.IGNORECASE))
    return facts


# --- tables ------------------------------------------------------------------------------------


def _delimited(name: str) -> Facts:
    import pandas as pd

    text, encoding, _ = _text(name)
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    delimiter = "\t" if name.lower().endswith(".tsv") else _delimiter(lines)[0]
    rows = list(csv.reader(lines, delimiter=delimiter))
    if not rows:
        raise ValueError("there are no lines in it")
    header = _has_header(rows)
    fields = [field for row in rows[1:] for field in row]
    decimal = bool(fields) and delimiter != "," and _mostly(fields, r"-?\d+,\d+")
    options = {
        **({} if delimiter == "," else {"sep": delimiter}),
        **({} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding}),
        **({} if header else {"header": None}),
        **({"decimal": ","} if decimal else {}),
    }
    bad: list[int] = []
    frame = _read_csv(pd, name, options, bad)
    facts: Facts = {"encoding": encoding, "delimiter": delimiter, "header": header}
    shown = "".join(f", {key}={value!r}" for key, value in options.items())
    facts["read_with"] = f"pd.read_csv({name!r}{shown})"
    facts.update(_row_count(name, frame, header))
    if bad:
        facts["note"] = f"{len(bad)} lines have too many fields; read with on_bad_lines='skip'"
    return {**facts, **_table(frame)}


def _read_csv(pd: Any, name: str, options: Facts, bad: list[int]) -> Any:
    try:
        return pd.read_csv(name, nrows=TABLE_ROWS, low_memory=False, **options)
    except pd.errors.ParserError:
        skip: Callable[[list[str]], None] = lambda fields: bad.append(len(fields))  # noqa: E731
        return pd.read_csv(name, nrows=SHEET_ROWS, engine="python", on_bad_lines=skip, **options)


def _row_count(name: str, frame: Any, header: bool) -> Facts:
    if len(frame) < TABLE_ROWS:
        return {"rows": len(frame), "rows_exact": True}
    with open(name, "rb") as file:
        breaks = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return {"rows": breaks - header, "rows_exact": False, "facts_from_first_rows": len(frame)}


def _delimiter(lines: list[str]) -> tuple[str, int]:
    """The delimiter that splits most lines into the same number of fields, and that number."""
    best = (0.0, 0, ",")
    for delimiter in (",", ";", "\t", "|"):
        widths = Counter(len(row) for row in csv.reader(lines[:50], delimiter=delimiter))
        if widths:
            width, times = widths.most_common(1)[0]
            share = times / sum(widths.values())
            if width > 1:
                best = max(best, (round(share, 1), width, delimiter))
    return best[2], best[1] or 1


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it holds no number where numbers follow."""
    first, rest = rows[0], rows[1:]
    numbers = [cell for cell in first if _is_number(cell)]
    if not numbers:
        return True
    years = [cell.strip() for cell in numbers]
    if len(numbers) < len(first) and all(re.fullmatch(r"(?:19|20)\d\d", y) for y in years):
        return len(years) > 1 and years == sorted(set(years), reverse=years[0] > years[-1])
    return len(numbers) < len(first) and not any(map(_is_number, rest[0] if rest else []))


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?\s*%?", cell))


def _mostly(cells: list[str], pattern: str) -> bool:
    numbers = [cell for cell in cells if _is_number(cell)]
    return any(re.fullmatch(pattern, c) for c in numbers) and not any("." in c for c in numbers)


def _table(frame: Any) -> Facts:
    """Columns, first rows and doubles of a pandas table."""
    facts: Facts = {
        "columns": [_column(frame, place) for place in range(min(COLUMNS, len(frame.columns)))]
    }
    if len(frame.columns) > COLUMNS:
        facts["columns_in_all"] = len(frame.columns)
    with contextlib.suppress(TypeError):
        facts["duplicate_rows"] = int(frame.duplicated().sum())
    head = frame.head(PREVIEW_ROWS).iloc[:, :COLUMNS]
    facts["preview"] = [[_plain(cell) for cell in row] for row in head.itertuples(index=False)]
    return facts


def _column(frame: Any, place: int) -> Facts:
    label = frame.columns[place]
    series = frame.iloc[:, place]
    known = series.dropna()
    facts: Facts = {
        "name": label if isinstance(label, str | int) else str(label),
        "dtype": str(series.dtype),
        "nulls": int(series.isna().sum()),
    }
    if known.empty:
        return facts
    kind = series.dtype.kind if hasattr(series.dtype, "kind") else "O"
    if kind in "iufmM":
        facts["min"], facts["max"] = _plain(known.min()), _plain(known.max())
        if kind in "iuf":
            facts["mean"] = _plain(float(known.mean()))
    with contextlib.suppress(TypeError):
        facts.update(_values(known, kind))
    if "categories" not in facts:
        facts["samples"] = [_plain(value) for value in known.iloc[:3]]
    if kind == "O" and all(isinstance(value, str) for value in known.iloc[:200]):
        facts.update(_text_column(known))
    return facts


def _values(known: Any, kind: str) -> Facts:
    """How many values, and which, when they are few and repeat."""
    counts = known.value_counts()
    facts: Facts = {"unique": len(counts)}
    if kind not in "fmM" and len(counts) <= 12 and len(counts) < len(known):
        facts["categories"] = [_plain(value) for value in counts.index]
    return facts


_DATE = re.compile(
    r"\s*(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2} \w{3,9} \d{4}"
    r"|\w{3,9} \d{1,2}, ?\d{4}|\d{4}\ub144 ?\d{1,2}\uc6d4 ?\d{1,2}\uc77c)(?:[T ].*)?\s*"
)
_DECORATED = re.compile(
    r"\s*[-+(]?[$\u20ac\u00a3\u00a5\u20a9]?\s*\d{1,3}(?:,?\d{3})*(?:\.\d+)?\s*[%)]?\s*"
)


def _text_column(known: Any) -> Facts:
    """Dates and numbers that pandas left as text."""
    some = list(known.iloc[:200])
    if all(_DATE.fullmatch(value) for value in some):
        facts: Facts = {"looks_like": "date"}
        with contextlib.suppress(Exception):
            import pandas as pd

            dates = pd.to_datetime(known)
            facts["min"], facts["max"] = _plain(dates.min()), _plain(dates.max())
        return facts
    if all(_DECORATED.fullmatch(value) for value in some):
        return {"looks_like": "number written with signs or separators"}
    if any(value != value.strip() for value in some):
        return {"note": "values have spaces around them"}
    return {}


def _plain(value: Any) -> Any:
    """A value as JSON has it, cut short; no NaN, no infinity."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:80]
    if isinstance(value, float):
        return round(value, 6 if abs(value) < 1e9 else 2) if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return None if str(value) == "NaT" else str(value.isoformat()).removesuffix("T00:00:00")
    return _short(value if isinstance(value, str) else repr(value))


def _workbook(name: str) -> Facts:
    import pandas as pd

    sheets = []
    with pd.ExcelFile(name) as book:
        for sheet in book.sheet_names[:20]:
            frame = book.parse(sheet, nrows=SHEET_ROWS)
            exact = len(frame) < SHEET_ROWS
            facts: Facts = {"name": sheet, "rows": len(frame), "rows_exact": exact}
            if not exact:
                facts["facts_from_first_rows"] = SHEET_ROWS
                facts["rows"] = (getattr(book.book[sheet], "max_row", 0) or SHEET_ROWS + 1) - 1
            if sum(str(c).startswith("Unnamed: ") for c in frame.columns) * 2 > len(frame.columns):
                facts["note"] = "the column names are probably not in the first row"
            sheets.append({**facts, **_table(frame)})
        return {"sheets": sheets, "sheet_names": list(book.sheet_names)}


def _parquet(name: str) -> Facts:
    from pyarrow import parquet

    with parquet.ParquetFile(name) as file:
        first = next(file.iter_batches(batch_size=TABLE_ROWS), None)
        rows = file.metadata.num_rows
        frame = file.schema_arrow.empty_table().to_pandas() if first is None else first.to_pandas()
    return {
        "rows": rows,
        "rows_exact": True,
        "read_with": f"pd.read_parquet({name!r})",
        **_table(frame),
    }


def _feather(name: str) -> Facts:
    from pyarrow import feather

    table = feather.read_table(name, memory_map=True)
    frame = table.slice(0, TABLE_ROWS).to_pandas()
    return {"rows": table.num_rows, "rows_exact": True, **_table(frame)}


def _sqlite(name: str) -> Facts:
    import sqlite3
    import urllib.parse

    import pandas as pd

    address = f"file:{urllib.parse.quote(name)}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        query = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        found = database.execute(query).fetchall()
        tables = []
        for table, kind in found[:ENTRIES]:
            quoted = '"' + table.replace('"', '""') + '"'
            rows = database.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()[0]
            frame = pd.read_sql_query(f"SELECT * FROM {quoted} LIMIT {SHEET_ROWS}", database)
            tables.append(
                {"name": table, "kind": kind, "rows": rows, "rows_exact": True, **_table(frame)}
            )
    return {"tables": tables, "table_names": [table for table, _ in found]}


# --- trees and arrays --------------------------------------------------------------------------


def _json(name: str) -> Facts:
    text, encoding, whole = _text(name)
    if not whole:
        return {**_plain_text(name), "note": f"larger than {TEXT_BYTES} bytes: not parsed"}
    value = json.loads(text)
    facts: Facts = {"encoding": encoding, "structure": _paths(value)}
    records = isinstance(value, list) and value and all(isinstance(v, dict) for v in value[:1000])
    columns = isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values())
    if records or (columns and len({len(v) for v in value.values()}) == 1):
        import pandas as pd

        frame = pd.DataFrame(value)
        facts.update({"rows": len(frame), "rows_exact": True}, **_table(frame.head(TABLE_ROWS)))
        facts["read_with"] = f"pd.DataFrame(json.load(open({name!r}, encoding={encoding!r})))"
    else:
        facts["preview"] = _short(json.dumps(value, ensure_ascii=False), 600)
    return facts


def _json_lines(name: str) -> Facts:
    import pandas as pd

    text, encoding, whole = _text(name)
    lines = [line for line in text.splitlines() if line.strip()]
    rows = [json.loads(line) for line in (lines if whole else lines[:-1])[:TABLE_ROWS]]
    facts: Facts = {"encoding": encoding, "rows": len(rows), "rows_exact": len(rows) == len(lines)}
    if not facts["rows_exact"]:
        facts["facts_from_first_rows"] = len(rows)
        facts["rows"] = int(len(rows) * os.path.getsize(name) / max(1, len(text.encode())))
    facts["structure"] = _paths(rows)
    if all(isinstance(row, dict) for row in rows):
        facts.update(_table(pd.DataFrame(rows)))
        facts["read_with"] = f"pd.read_json({name!r}, lines=True)"
    return facts


def _paths(value: Any) -> list[str]:
    """``a.b[]: str`` for every path of a tree, breadth first, as far as there is room."""
    found: dict[str, str] = {}
    queue: list[tuple[str, Any]] = [("$", value)]
    for place, inner in queue:
        if len(found) >= ENTRIES or len(queue) > 20_000:
            break
        kind = type(inner).__name__
        if isinstance(inner, dict):
            kind = f"object with {len(inner)} keys"
            queue.extend((f"{place}.{key}", inner[key]) for key in list(inner)[:ENTRIES])
        elif isinstance(inner, list):
            kind = f"list of {len(inner)}"
            queue.extend((f"{place}[]", item) for item in inner[:20])
        found.setdefault(_short(place, 200), kind)
    return [f"{place}: {kind}" for place, kind in found.items()]


def _hdf(name: str) -> Facts:
    import h5py

    found: list[Facts] = []
    with h5py.File(name, "r") as file:

        def note(path: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and len(found) < ENTRIES:
                found.append({"path": path, "shape": list(item.shape), "dtype": str(item.dtype)})

        file.visititems(note)
        return {"groups": list(file)[:ENTRIES], "datasets": found}


def _netcdf(name: str) -> Facts:
    with open(name, "rb") as file:
        classic = file.read(3) == b"CDF"
    if not classic:
        return _hdf(name)
    from scipy.io import netcdf_file

    with netcdf_file(name, "r", mmap=False) as file:
        return {
            "dimensions": dict(file.dimensions),
            "datasets": [
                {"path": key, "shape": list(item.shape), "dtype": str(item.data.dtype)}
                for key, item in list(file.variables.items())[:ENTRIES]
            ],
        }


def _array(name: str) -> Facts:
    import numpy as np

    array = np.load(name, mmap_mode="r", allow_pickle=False)
    facts: Facts = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.dtype.kind in "iufb" and 0 < array.size <= 10_000_000:
        facts["min"], facts["max"] = _plain(np.nanmin(array)), _plain(np.nanmax(array))
    facts["preview"] = _short(repr(array.ravel()[:10].tolist()), 300)
    return facts


def _arrays(name: str) -> Facts:
    import numpy as np

    with np.load(name, allow_pickle=False) as archive:
        return {
            "arrays": [
                {"name": key, "shape": list(archive[key].shape), "dtype": str(archive[key].dtype)}
                for key in archive.files[:ENTRIES]
            ]
        }


# --- documents, pictures, archives -------------------------------------------------------------


def _pdf(name: str) -> Facts:
    import pypdf

    reader = pypdf.PdfReader(name)
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is encrypted")
    texts = [page.extract_text() for page in reader.pages[:3]]
    facts: Facts = {"pages": len(reader.pages), "preview": _head("\n".join(texts).splitlines())}
    if not any(text.strip() for text in texts):
        facts["note"] = "no text on the first pages; they are probably pictures"
    return facts


def _word(name: str) -> Facts:
    import docx

    document = docx.Document(name)
    said = [p for p in document.paragraphs if p.text.strip()]
    headings = [
        p.text for p in said if str(getattr(p.style, "name", "")).startswith(("Heading", "Title"))
    ]
    return {
        "paragraphs": len(said),
        "tables": len(document.tables),
        "headings": _head(headings),
        "preview": _head([paragraph.text for paragraph in said]),
    }


def _slides(name: str) -> Facts:
    import pptx

    slides = pptx.Presentation(name).slides
    titles = [slide.shapes.title.text if slide.shapes.title else "" for slide in slides]
    texts = [
        s.text for slide in slides for s in slide.shapes if s.has_text_frame and s.text.strip()
    ]
    return {"slides": len(slides), "titles": _head(titles), "preview": _head(texts)}


def _picture(name: str) -> Facts:
    from PIL import Image

    with Image.open(name) as picture:
        return {
            "width": picture.width,
            "height": picture.height,
            "mode": picture.mode,
            "format": picture.format,
            "frames": getattr(picture, "n_frames", 1),
        }


def _archive(name: str) -> Facts:
    import zipfile

    with zipfile.ZipFile(name) as archive:
        members = archive.infolist()
    return {
        "members": [{"name": m.filename, "size": m.file_size} for m in members[:ENTRIES]],
        "members_in_all": len(members),
        "unpacked_size": sum(member.file_size for member in members),
    }


_READERS: dict[str, Callable[[str], Facts]] = {
    **dict.fromkeys(("csv", "tsv"), _delimited),
    **dict.fromkeys(("txt", "log"), _maybe_table),
    **dict.fromkeys(("md", "py"), _plain_text),
    **dict.fromkeys(("yaml", "yml"), _structured(_load_yaml)),
    **dict.fromkeys(("xlsx", "xls", "ods"), _workbook),
    **dict.fromkeys(("sqlite", "db"), _sqlite),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "tiff"), _picture),
    "toml": _structured(_load_toml), "ini": _structured(_load_ini), "xml": _xml, "html": _html,
    "json": _json, "jsonl": _json_lines, "parquet": _parquet, "feather": _feather, "h5": _hdf,
    "nc": _netcdf, "npy": _array, "npz": _arrays, "pdf": _pdf, "docx": _word, "pptx": _slides,
    "zip": _archive,
}  # fmt: skip


def _within_bounds(entries: list[Facts]) -> str:
    """The JSON text; previews, then values, then columns go when it is too long."""
    text = json.dumps(entries)
    for spare in ("preview", "samples", "categories", "structure", "columns", "sheets", "tables"):
        if len(text) <= OUTPUT_CHARS:
            break
        for part in _parts(entries):
            if part.pop(spare, None) is not None and "name" in part and "type" in part:
                part["note"] = "shortened: there is more in it than fits here"
        text = json.dumps(entries)
    return text


def _parts(value: Any) -> Iterator[Facts]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _parts(inner)


def main() -> None:
    """Print the facts of all files; what libraries print goes to stderr."""
    warnings.simplefilter("ignore")
    csv.field_size_limit(2 * TEXT_BYTES)
    with contextlib.redirect_stdout(io.StringIO()):
        entries = [inspect(name) for name in sys.argv[1:]]
    print(_within_bounds(entries))


if __name__ == "__main__":
    main()
