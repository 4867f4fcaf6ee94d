"""What the server says of itself on stderr: lines for people, or one JSON object a line.

The JSON has no user data in it: no prompts, code, names of files, keys or signatures. So requests
stand there by the template of their path, and exceptions by their class and the places in our code;
their messages, which may quote a user, come with ``PYTHON_CODER_LOG_LEVEL=debug`` only.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from backend.config.settings import Settings
from backend.request_context import current_request

_OURS: Final = "backend"
_LIBRARIES: Final = ("uvicorn", "asyncio", "sqlalchemy", "alembic", "opentelemetry")
"""What they say below a warning is of note to whoever looks for a fault; of others it never is."""
_MOST_FRAMES: Final = 30


class JsonLines(logging.Formatter):
    """One object a record."""

    def __init__(self, *, tells_messages: bool) -> None:
        """Say whether the messages of exceptions are told."""
        super().__init__()
        self._tells_messages = tells_messages

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        who = current_request()
        document: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("request_id", "owner", "run_id"):
            if value := getattr(who, name):
                document[name] = value
        document |= getattr(record, "known", {})
        if record.exc_info and record.exc_info[1] is not None:
            document["exception"] = self._exception(record.exc_info[1])
        return json.dumps(document, default=str)

    def _exception(self, error: BaseException) -> dict[str, Any]:
        kind = type(error)
        told: dict[str, Any] = {
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "stack": _places(error.__traceback__),
        }
        if self._tells_messages:
            told["message"] = str(error)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None and cause is not error:
            told["cause"] = f"{type(cause).__module__}.{type(cause).__qualname__}"
        return told


class TextLines(logging.Formatter):
    """A line for people; a stack trace below it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        line = super().format(record)
        request_id = current_request().request_id
        time = _time(record).astimezone().isoformat(sep=" ", timespec="milliseconds")
        about = f" [{request_id}]" if request_id else ""
        return f"{time} {record.levelname.lower()} {record.name}{about}: {line}"


@contextmanager
def logging_to_stderr(settings: Settings) -> Iterator[None]:
    """Let what our loggers and those of libraries say go to stderr, as the settings want it."""
    handler = logging.StreamHandler(sys.stderr)
    is_debug = settings.log_level == "debug"
    handler.setFormatter(
        JsonLines(tells_messages=is_debug) if settings.log_format == "json" else TextLines()
    )
    level = getattr(logging, settings.log_level.upper())
    before: list[tuple[logging.Logger, int, bool]] = []
    for name in (_OURS, *_LIBRARIES):
        logger = logging.getLogger(name)
        before.append((logger, logger.level, logger.propagate))
        logger.addHandler(handler)
        logger.setLevel(level if name == _OURS or is_debug else max(level, logging.WARNING))
        logger.propagate = False
    # Else a library without a handler, as a pool of connections, writes a line of its own make.
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with _warnings_logged():
            yield
    finally:
        root.removeHandler(handler)
        for logger, was, propagated in before:
            logger.removeHandler(handler)
            logger.setLevel(was)
            logger.propagate = propagated


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Let Python's warnings be lines like all others."""
    with warnings.catch_warnings():
        # LangGraph's own: a request cancelled while it hands in a checkpoint drops that coroutine.
        dropped = "coroutine 'AsyncPregelLoop._checkpointer_put_after_previous' was never awaited"
        warnings.filterwarnings("ignore", dropped, RuntimeWarning)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)


def announce_in_log(text: str) -> None:
    """Say something whatever the level: where the server listens, and for whom."""
    record = logging.LogRecord("backend.serve", logging.INFO, __file__, 0, text, None, None)
    logging.getLogger("backend.serve").handle(record)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_MOST_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
