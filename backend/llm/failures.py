"""One table from what model servers and their clients raise to the errors of this house.

Client libraries differ in their exception classes (``httpx``, ``httpx2``, ``ollama``, ``openai``,
``langchain``), but hardly in the classes' names; so a row is found by name, and none of the
libraries has to be imported to translate it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backend.errors import (
    BadReply,
    ContextExceeded,
    ModelError,
    ModelNotFound,
    ModelUnavailable,
    PythonCoderError,
)
from backend.llm.refusals import complains_of
from backend.llm.wire import Server
from backend.types import Rung

_SHOWN = 300
"""Characters of a server's own words that a message repeats."""


class ServerFailure(Exception):
    """A failed attempt: the error to raise, and whether another attempt may do better."""

    def __init__(
        self, error: PythonCoderError, *, retry: bool = False, refused: bool = False
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry = retry
        self.refused = refused
        """The server does not take questions in this form; nothing was generated."""


class SaidError(Exception):
    """A server's error in words, with an HTTP status where it has one."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class StreamEndedEarly(Exception):
    """A reply's stream ended without saying that the reply is over."""


@dataclass(frozen=True, kw_only=True)
class _Raised:
    """What is known of a foreign error."""

    model: str
    server: Server
    kinds: frozenset[str]
    status: int | None
    words: str


def translate(
    error: Exception, *, model: str, server: Server, rung: Rung = "text"
) -> ServerFailure:
    """Find the row for an error that a provider raised.

    Args:
        error: what was raised; one of the house's own passes as it is.
        model: the model that was asked.
        server: the server that was asked.
        rung: in which form.
    """
    if isinstance(error, ServerFailure):
        return error
    if isinstance(error, PythonCoderError):
        return ServerFailure(error)
    raised = _Raised(
        model=model,
        server=server,
        kinds=frozenset(kind for cause in _causes(error) for kind in _class_names(cause)),
        status=_status(error),
        words=_words(error).replace(server.address, "its address"),
    )
    row = next(row for row in _TABLE if row.fits(raised))
    refused = row.build in (_not_capable, _not_found, _other) and complains_of(
        rung, status=raised.status, words=raised.words.replace(model, "")
    )
    failure = row.build(raised)
    failure.place = server.address
    return ServerFailure(failure, retry=row.retry, refused=refused)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _class_names(error: BaseException) -> Iterator[str]:
    return (kind.__name__ for kind in type(error).__mro__)


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and status > 0 else None


def _words(error: Exception) -> str:
    text = " ".join(next(_said(error)).split()).rstrip(".")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


def _said(error: Exception) -> Iterator[str]:
    """Where the server's own words may be, best first: ollama's `error`, openai's `body`."""
    body = getattr(error, "body", None)
    places = [getattr(error, "error", None), body]
    if isinstance(body, dict):
        places += [body.get("message"), body.get("detail")]
    yield from (place for place in places if isinstance(place, str) and place.strip())
    yield str(error) or type(error).__name__


# --- what each row says ----------------------------------------------------------------------


def _unreachable(raised: _Raised) -> PythonCoderError:
    remedy = "Start it with `ollama serve`, or set OLLAMA_HOST."
    if raised.server.provider == "openai":
        remedy = "Start it, or set OPENAI_BASE_URL."
    elif "//127.0.0.1:" in raised.server.address and shutil.which("ollama") is None:
        remedy = f"Install Ollama (https://ollama.com). {remedy}"
    return ModelUnavailable("The model server cannot be reached.", remedy)


def _timed_out(raised: _Raised) -> PythonCoderError:
    return ModelUnavailable(
        f"The model server sent nothing for {raised.server.timeout_s:g} s (model {raised.model!r}).",
        "Allow more with PYTHON_CODER_MODEL_TIMEOUT, or use a smaller model.",
    )


def _dropped(raised: _Raised) -> PythonCoderError:
    return BadReply(
        f"The model server broke off in the middle of a reply of {raised.model!r}: {raised.words}.",
        "Look into its log, and ask again.",
        reason="dropped",
    )


def _garbled(raised: _Raised) -> PythonCoderError:
    return BadReply(
        f"The model server sent something that is not JSON: {raised.words}.",
        "Make sure that the address is that of a model server.",
        reason="dropped",
    )


def _tool_parse(raised: _Raised) -> PythonCoderError:
    return BadReply(
        f"The model server could not read what {raised.model!r} wrote: {raised.words}.",
        "Ask again, or use another model.",
        reason="tool_parse",
    )


def _only_loaded(raised: _Raised) -> PythonCoderError:
    return BadReply(
        f"The model server loaded {raised.model!r} but sent no reply.",
        "Ask again; the model is loaded now.",
        reason="empty",
    )


def _not_found(raised: _Raised) -> PythonCoderError:
    what = f"The model server does not have the model {raised.model!r}."
    if raised.server.provider == "ollama":
        return ModelNotFound(what, f"Run `ollama pull {raised.model}`.")
    return ModelNotFound(what, "Name one that it lists.")


def _no_such_address(raised: _Raised) -> PythonCoderError:
    return ModelUnavailable(
        f"The model server has no chat endpoint there: {raised.words}.",
        "Correct OPENAI_BASE_URL (it mostly ends in /v1)."
        if raised.server.provider == "openai"
        else "Correct OLLAMA_HOST.",
    )


def _key_refused(raised: _Raised) -> PythonCoderError:
    return ModelUnavailable(
        f"The model server refused the key: {raised.words}.",
        "Set OPENAI_API_KEY." if raised.server.provider == "openai" else "Set OLLAMA_API_KEY.",
    )


def _busy(raised: _Raised) -> PythonCoderError:
    return ModelUnavailable(f"The model server is busy: {raised.words}.", "Ask again later.")


def _no_memory(raised: _Raised) -> PythonCoderError:
    return ModelError(
        f"The model server has no room for {raised.model!r}: {raised.words}.",
        "Use a smaller model, or lower PYTHON_CODER_NUM_CTX.",
    )


def _too_long(raised: _Raised) -> PythonCoderError:
    return ContextExceeded(
        f"The question does not fit into the context of {raised.model!r}: {raised.words}.",
        "Give the server a larger context, or ask with less text."
        if raised.server.provider == "openai"
        else "Raise PYTHON_CODER_NUM_CTX, or ask with less text.",
    )


def _not_capable(raised: _Raised) -> PythonCoderError:
    return ModelError(
        f"The model {raised.model!r} cannot do this: {raised.words}.", "Use another model."
    )


def _other(raised: _Raised) -> PythonCoderError:
    status = f" (HTTP {raised.status})" if raised.status else ""
    return ModelError(
        f"The model server failed{status} with {raised.model!r}: {raised.words}.",
        "Look into its log, or use another model.",
    )


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Fits when every condition that is set fits."""

    build: Callable[[_Raised], PythonCoderError]
    kinds: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    says: str = ""
    retry: bool = False

    def fits(self, raised: _Raised) -> bool:
        return (
            (not self.kinds or not self.kinds.isdisjoint(raised.kinds))
            and (not self.statuses or raised.status in self.statuses)
            and (not self.says or re.search(self.says, raised.words, re.IGNORECASE) is not None)
        )


_DROPPED = frozenset(
    {"RemoteProtocolError", "ReadError", "WriteError", "CloseError", "ConnectionResetError"}
    | {"BrokenPipeError", "IncompleteReadError", "StreamEndedEarly"}
)
_UNREACHABLE = frozenset(
    {"APIConnectionError", "ConnectionError", "UnsupportedProtocol", "InvalidURL"}
)
_TIMEOUTS = frozenset({"ReadTimeout", "WriteTimeout", "PoolTimeout", "APITimeoutError"})

_TABLE: tuple[_Row, ...] = (
    # The order counts: a client's general class often stands over the special one.
    _Row(kinds=frozenset({"ConnectTimeout", "ConnectError"}), build=_unreachable),
    _Row(kinds=_TIMEOUTS | {"TimeoutError", "StreamChunkTimeoutError"}, build=_timed_out),
    _Row(kinds=_DROPPED, build=_dropped, retry=True),
    _Row(kinds=_UNREACHABLE, build=_unreachable),
    _Row(
        # The last is Ollama's client: arguments that are no object.
        says=r"pars\w* tool call|tool call pars|tool_calls\.\d",
        build=_tool_parse,
        retry=True,
    ),
    _Row(says=r"more system memory|out of memory|cudaMalloc", build=_no_memory),
    _Row(kinds=frozenset({"ContextOverflowError"}), build=_too_long),
    _Row(says=r"context (length|size|window)|input length|prompt is too long", build=_too_long),
    _Row(statuses=frozenset({400}), says=r"does not support", build=_not_capable),
    _Row(statuses=frozenset({401, 403}), build=_key_refused),
    _Row(statuses=frozenset({404}), says=r"page not found|^not found$", build=_no_such_address),
    _Row(statuses=frozenset({404}), build=_not_found),
    _Row(statuses=frozenset({408, 504}), build=_timed_out),
    _Row(statuses=frozenset({429, 503}), build=_busy),
    _Row(statuses=frozenset({502}), build=_unreachable),
    _Row(says=r"unexpected EOF|runner process|connection reset", build=_dropped, retry=True),
    _Row(kinds=frozenset({"JSONDecodeError", "UnicodeDecodeError"}), build=_garbled, retry=True),
    _Row(
        kinds=frozenset({"ValueError"}),
        says=r"no data received|no generation chunks",
        build=_only_loaded,
        retry=True,
    ),
    _Row(build=_other),
)
