"""A recorded conversation in a model's place: for tests, for the demo, and for trying things.

It is a JSON-lines file; a call takes the first unused line whose ``stage`` and ``when`` fit. Only
the model is scripted; whatever comes after it is real, and it says ``scripted`` wherever a
model's name is shown.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import re
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from backend.config.settings import Settings
from backend.errors import ModelError, SettingsError
from backend.llm.failures import SaidError
from backend.llm.wire import Piece, Question, Server
from backend.types import Stage

NAME = "scripted"
_KEYS = ("stage", "when", "reply", "tokens", "delay_s", "error", "done_reason", "repeat")
_SHOWN = 300
"""Characters of a prompt's end that the message about a missing line shows."""
_TOKENS_PER_WORD = 1.3
"""A rule of thumb for English text and code, where a line does not say what the call used."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One recorded reply."""

    number: int
    """In the file, from 1."""
    stage: Stage | None
    when: re.Pattern[str] | None
    reply: str
    tokens: tuple[int, int] | None
    delay_s: float
    error: str | None
    done_reason: str
    repeat: bool

    def fits(self, stage: Stage, prompt: str) -> bool:
        """Whether it answers this call."""
        return (self.stage is None or self.stage == stage) and (
            self.when is None or self.when.search(prompt) is not None
        )


class Script:
    """A file's lines, each used once unless it repeats."""

    def __init__(self, path: Path, lines: tuple[Line, ...]) -> None:
        self.path = path
        self._lines = lines
        self._used: set[int] = set()
        self._lock = threading.Lock()

    def take(self, stage: Stage, prompt: str) -> Line:
        """The first unused line that fits, used from now on.

        Raises:
            ModelError: none is left; shows the prompt's end, so that one can be written.
        """
        with self._lock:
            for line in self._lines:
                if line.number not in self._used and line.fits(stage, prompt):
                    if not line.repeat:
                        self._used.add(line.number)
                    return line
            unused = len(self._lines) - len(self._used)
        raise ModelError(
            f"The script {self.path} has no line left for stage {stage!r} ({unused} of "
            f"{len(self._lines)} lines unused). The prompt ends: "
            f"{' '.join(prompt.split())[-_SHOWN:]!r}.",
            "Add a line that answers it.",
        )


# The contract is that lines are consumed process-wide: a server, its requests and every other
# opening of the file share one place in the conversation. So the place cannot belong to any of
# them. A file that was changed starts again.
_open_scripts: dict[Path, tuple[tuple[int, int], Script]] = {}
_registry_lock = threading.Lock()


def open_script(file: str | Path) -> Script:
    """Read and check a script; the one in use already, if the file is unchanged.

    Raises:
        SettingsError: the file cannot be read or a line is not valid; names file and line.
    """
    path = Path(file).expanduser().resolve()
    with _registry_lock:
        try:
            status = path.stat()
            fingerprint = (status.st_mtime_ns, status.st_size)
            known = _open_scripts.get(path)
            if known is not None and known[0] == fingerprint:
                return known[1]
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(
                f"The script {str(file)!r} of PYTHON_CODER_MODEL cannot be read: {reason}.",
                "Name a JSON-lines file: scripted:FILE.",
            ) from None
        script = Script(path, _read_lines(path, text))
        _open_scripts[path] = (fingerprint, script)
        return script


def _read_lines(path: Path, text: str) -> tuple[Line, ...]:
    lines = []
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            lines.append(_read_line(number, row))
        except ValueError as error:
            raise SettingsError(f"{path}, line {number}: {error}.", "Correct the line.") from None
    return tuple(lines)


def _read_line(number: int, row: str) -> Line:
    try:
        data = json.loads(row)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    _refuse_misspelt(data)
    if "reply" not in data and "error" not in data:
        raise ValueError("neither 'reply' nor 'error'")
    stage = _optional(data, "stage", str)
    if stage is not None and stage not in get_args(Stage):
        raise ValueError(f"stage is {stage!r}; the stages are {', '.join(get_args(Stage))}")
    return Line(
        number=number,
        stage=stage,
        when=_pattern(_optional(data, "when", str)),
        reply=_optional(data, "reply", str) or "",
        tokens=_tokens(data.get("tokens")),
        delay_s=_delay(data),
        error=_optional(data, "error", str),
        done_reason=_optional(data, "done_reason", str) or "stop",
        repeat=bool(_optional(data, "repeat", bool)),
    )


def _refuse_misspelt(data: dict[str, Any]) -> None:
    """Keys of one's own (a note, a number) are let be; a misspelt ``when`` would fit anything."""
    for key in data.keys() - set(_KEYS):
        if meant := difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.75):
            raise ValueError(f"unknown key {key!r}; {meant[0]!r} is meant")


def _optional(data: dict[str, Any], key: str, kind: type) -> Any:
    value = data.get(key)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{key} is {value!r}; it must be a {kind.__name__}")
    return value


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise ValueError(f"when is {text!r}, which is no regular expression ({error})") from None


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _tokens(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(_is_amount(count) and isinstance(count, int) for count in value)
    ):
        return (value[0], value[1])
    raise ValueError(f"tokens is {value!r}; it must be [in, out], whole numbers from 0")


def _delay(data: dict[str, Any]) -> float:
    value = data.get("delay_s")
    if value is None:
        return 0.0
    if not _is_amount(value):
        raise ValueError(f"delay_s is {value!r}; it must be a number of seconds from 0")
    return float(value)


class ScriptedProvider:
    """A script as if a server read it out."""

    def __init__(self, file: str, settings: Settings) -> None:
        self._script = open_script(file)
        self.server = Server(
            provider="scripted",
            address=str(self._script.path),
            timeout_s=settings.model_timeout_s,
            num_ctx=settings.num_ctx,
            counts=False,
        )

    async def look_up(self, model: str) -> None:
        """Nothing: no server stands behind a script."""

    def server_of(self, model: str) -> Server:
        """The one there is."""
        return self.server

    async def stream(self, model: str, question: Question) -> AsyncGenerator[Piece, None]:
        """The next line that fits, word by word; its error, if it has one, after its words."""
        line = self._script.take(question.stage, question.text)
        await asyncio.sleep(line.delay_s)
        for word in split_words(line.reply):
            yield Piece(text=word)
            await asyncio.sleep(0)
        if line.error is not None:
            raise said_error(line.error)
        tokens = line.tokens or (count_tokens(question.text), count_tokens(line.reply))
        yield Piece(done_reason=line.done_reason, input_tokens=tokens[0], output_tokens=tokens[1])

    async def takes_tools(self, model: str) -> bool:
        """Never: what is recorded is text."""
        return False

    async def names(self) -> list[str]:
        """Its one name."""
        return [NAME]

    async def aclose(self) -> None:
        """Nothing is held open."""


def split_words(text: str) -> list[str]:
    """Pieces that join to the text, each a word with the white space behind it."""
    return (
        re.findall(r"\s+\S*\s*|\S+\s*", text) if text[:1].isspace() else re.findall(r"\S+\s*", text)
    )


def count_tokens(text: str) -> int:
    """An estimate by words."""
    return round(len(text.split()) * _TOKENS_PER_WORD)


def said_error(text: str) -> Exception:
    """A line's ``error`` as what a client would have raised: by its HTTP status, or its words."""
    if re.search(r"time[ds]?[ -]?out", text, re.IGNORECASE):
        return TimeoutError(text)
    status = re.match(r"\s*(\d{3})\b", text)
    if status is None and re.search(r"dropped|disconnected|broke off", text, re.IGNORECASE):
        return ConnectionResetError(text)
    if status is None and re.search(r"connect|unreachable|refused", text, re.IGNORECASE):
        return ConnectionRefusedError(text)
    return SaidError(f"the script says {text!r}", int(status[1]) if status else None)
