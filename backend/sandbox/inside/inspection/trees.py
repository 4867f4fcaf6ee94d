"""Trees: JSON, JSON lines, YAML, TOML and INI, as the paths that lead through them."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from . import paths, tables, texts
from .facts import TABLE_ROWS, Facts, opened, short

_CUT_CHARS = 250_000
"""Of a JSON text too large to be parsed whole."""
_LINES_BYTES = 2_000_000
"""Of JSON lines, which take longer to parse than a table of the same size."""
_SIGNS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},"]', re.DOTALL)


def inspect_json(name: str) -> Facts:
    """The structure, and a table where the values are one."""
    text = texts.read(name)
    facts: Facts = {"encoding": text.encoding}
    read_with = f"json.load({opened(name, text.encoding)})"
    if text.whole:
        value = json.loads(text.content)
    elif closed := _closed(text.content[:_CUT_CHARS]):
        value = json.loads(closed)
        facts["note"] = f"structure and preview from the first {_CUT_CHARS} characters only"
    else:
        facts = texts.describe(name, text)
        facts["note"] = f"not parsed: one value has more than {_CUT_CHARS} characters"
        return facts | {"read_with": f"import json; {read_with}"}
    facts["structure"] = paths.of(value, cut=not text.whole)
    if not _is_table(value):
        shown = json.dumps(value, ensure_ascii=False)
        return {**facts, "read_with": f"import json; {read_with}", "preview": short(shown, 600)}
    import pandas as pd

    if not text.whole and isinstance(value, list) and len(value) > 1:
        value.pop()  # cut short
    frame = pd.DataFrame(value)
    facts["read_with"] = f"import json; pd.DataFrame({read_with})"
    if text.whole:
        return {**facts, **tables.describe(frame.head(TABLE_ROWS), rows=len(frame))}
    rows = len(frame) * os.path.getsize(name) // _CUT_CHARS
    return {**facts, **tables.describe(frame, rows=rows, exact=False)}


def inspect_json_lines(name: str) -> Facts:
    """The structure of all lines together, and a table where they are objects."""
    text = texts.read(name, _LINES_BYTES)
    lines = [line for line in text.lines() if line.strip()]
    if not text.whole and len(lines) > 1:
        lines.pop()
    values = [json.loads(line) for line in lines[:TABLE_ROWS]]
    total = len(lines) if text.whole else len(lines) * os.path.getsize(name) // _LINES_BYTES
    facts: Facts = {"encoding": text.encoding, "structure": paths.of(values, cut=not text.whole)}
    lines_read = f"json.loads(line) for line in {opened(name, text.encoding)} if line.strip()"
    if not all(isinstance(value, dict) for value in values):
        facts["read_with"] = f"import json; [{lines_read}]"
        return {**facts, "rows": total, "rows_exact": text.whole}
    import pandas as pd

    # pandas.read_json would make numbers of texts such as "007".
    facts["read_with"] = f"import json; pd.DataFrame([{lines_read}])"
    return {**facts, **tables.describe(pd.DataFrame(values), rows=total, exact=text.whole)}


def inspect_yaml(name: str) -> Facts:
    """Text facts and the structure; several documents are told as a list."""
    import yaml

    text = texts.read(name)
    facts = texts.describe(name, text)
    if not text.whole:
        return facts
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = list(yaml.load_all(text.content, loader))
    several = len(documents) != 1
    read = "list(yaml.safe_load_all({}))" if several else "yaml.safe_load({})"
    facts["read_with"] = f"import yaml; {read.format(opened(name, text.encoding))}"
    return {**facts, "structure": paths.of(documents if several else documents[0])}


def inspect_toml(name: str) -> Facts:
    """Text facts and the structure."""
    import tomllib

    text = texts.read(name)
    facts = texts.describe(name, text)
    if not text.whole:
        return facts
    facts["read_with"] = f"import tomllib; tomllib.loads({opened(name, text.encoding)}.read())"
    return {**facts, "structure": paths.of(tomllib.loads(text.content))}


def inspect_ini(name: str) -> Facts:
    """Text facts and the structure."""
    import configparser

    text = texts.read(name)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text.content)
    sections = {section: dict(parser.items(section)) for section in parser.sections()}
    facts = texts.describe(name, text)
    facts["read_with"] = (
        "import configparser; data = configparser.ConfigParser(interpolation=None, strict=False); "
        f"data.read({name!r}, encoding={text.encoding!r}); data"
    )
    return {**facts, "structure": paths.of(sections)}


def _is_table(value: Any) -> bool:
    """A list of objects, or an object of equally long lists."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    if not isinstance(value, dict) or not all(isinstance(item, list) for item in value.values()):
        return False
    return len({len(item) for item in value.values()}) == 1


def _closed(text: str) -> str:
    """The beginning of a JSON text, cut after the last whole value and closed; '' if there is none."""
    open_ones: list[str] = []
    end, closing = 0, ""
    for sign in _SIGNS.finditer(text):
        match sign[0]:
            case "{" | "[":
                open_ones.append("}" if sign[0] == "{" else "]")
            case "}" | "]":
                if not open_ones or open_ones.pop() != sign[0]:
                    raise ValueError(f"{sign[0]!r} closes nothing at character {sign.start()}")
            case ",":
                end, closing = sign.start(), "".join(reversed(open_ones))
            case '"':
                break
    return text[:end] + closing if end else ""
