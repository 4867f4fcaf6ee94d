"""Servers that fail, and replies that do not end."""

from __future__ import annotations

from typing import Any

from bench.misbehaviours.case import Misbehaviour, error, right
from bench.misbehaviours.saying import SUM, fenced, says, writes
from tests.ollama_server import Line

_AGAIN = right("sum 42", calls=4, mended="second attempt")
_TOOL_CALL = "500 error parsing tool call: raw='print(' err=unexpected end of JSON input"
_SERVER = "The model server"


def _faulty(**more: Any) -> Line:
    return says("generate", fenced(SUM), **more)


CASES = (
    Misbehaviour(
        does="is cut off at its limit, once",
        lines=(says("generate", "Add.\n\n```python\nprint('sum',", done_reason="length"), writes()),
        end=right("sum 42", calls=4, mended="wider limit"),
    ),
    Misbehaviour(
        does="is cut off at its limit, each time",
        lines=(says("generate", "Add and add", done_reason="length", repeat=True),),
        end=error(
            "model",
            "The model gave no usable program (generate): The model ... did not come to an end ... "
            "Allow more than 8192 tokens with PYTHON_CODER_MAX_TOKENS ...",
            calls=2,
            mended="wider limit",
        ),
    ),
    Misbehaviour(
        does="repeats itself without end",
        lines=(says("generate", ("again" * 200 + " ") * 280),),
        settings={"max_tokens": 1024},
        end=error(
            "model",
            "The model gave no usable program (generate): The model ... wrote more than 200000 "
            "characters and did not come to an end ...",
            calls=1,
        ),
    ),
    Misbehaviour(
        does="is only loaded at first",
        lines=(_faulty(fault="load"), writes()),
        end=_AGAIN,
    ),
    Misbehaviour(
        does="is only loaded, each time",
        lines=(_faulty(fault="load", repeat=True),),
        end=error(
            "model",
            f"The model gave no usable program (generate): {_SERVER} loaded ... but sent no reply. ...",
            calls=4,
            mended="2 x second attempt, re-ask",
        ),
    ),
    Misbehaviour(
        does="drops the stream, once", lines=(_faulty(fault="drop"), writes()), end=_AGAIN
    ),
    Misbehaviour(
        does="drops the stream, each time",
        lines=(_faulty(fault="drop", repeat=True),),
        end=error(
            "model",
            f"The model gave no usable program (generate): {_SERVER} broke off in the middle of a reply "
            "...",
            calls=4,
            mended="2 x second attempt, re-ask",
        ),
    ),
    Misbehaviour(
        does="ends the stream without its last line",
        lines=(_faulty(fault="unfinished"), writes()),
        end=_AGAIN,
    ),
    Misbehaviour(
        does="streams a line that is no JSON, once",
        lines=(_faulty(fault="garbage"), writes()),
        end=_AGAIN,
    ),
    Misbehaviour(
        does="streams lines that are no JSON, each time",
        lines=(_faulty(fault="garbage", repeat=True),),
        end=error(
            "model",
            f"The model gave no usable program (generate): {_SERVER} sent something that is not JSON ...",
            calls=4,
            mended="2 x second attempt, re-ask",
        ),
    ),
    Misbehaviour(
        does="chokes on a tool call, once (HTTP 500)",
        lines=(_faulty(error=_TOOL_CALL), writes()),
        end=_AGAIN,
    ),
    Misbehaviour(
        does="chokes on a tool call, each time (HTTP 500)",
        lines=(_faulty(error=_TOOL_CALL, repeat=True),),
        end=error(
            "model",
            f"The model gave no usable program (generate): {_SERVER} could not read what ... wrote ...",
            calls=4,
            mended="2 x second attempt, re-ask",
        ),
    ),
    Misbehaviour(
        does="fails in the middle of the stream",
        lines=(_faulty(error="llama runner process has terminated: exit status 2"), writes()),
        end=_AGAIN,
    ),
    Misbehaviour(
        does="does not have the model",
        lines=(),
        settings={"model": "ollama:no-such-model:7b"},
        end=error(
            "model",
            f"{_SERVER} does not have the model 'no-such-model:7b' (...). Run `ollama pull no-such-model:7b`.",
            calls=1,
        ),
    ),
    Misbehaviour(
        does="is not running",
        lines=(),
        is_served=False,
        end=error("model", f"{_SERVER} cannot be reached (...). ... `ollama serve`...", calls=0),
    ),
    Misbehaviour(
        does="has no memory for the model",
        lines=(
            _faulty(
                error="500 model requires more system memory (13.1 GiB) than is available (7.2 GiB)"
            ),
        ),
        end=error("model", f"{_SERVER} has no room for ... Use a smaller model ...", calls=1),
    ),
    Misbehaviour(
        does="is busy",
        lines=(_faulty(error="503 server busy, please try again. maximum pending requests"),),
        end=error("model", f"{_SERVER} is busy: ... Ask again later.", calls=1),
    ),
    Misbehaviour(
        does="takes long to its first token",
        lines=(_faulty(delay_s=0.6),),
        settings={"model_timeout_s": 20},
        end=right("sum 42", calls=3),
    ),
    Misbehaviour(
        does="sends no token in time",
        lines=(_faulty(delay_s=20),),
        settings={"model_timeout_s": 0.5},
        end=error(
            "model",
            f"{_SERVER} sent nothing for 0.5 s ... PYTHON_CODER_MODEL_TIMEOUT ...",
            calls=1,
        ),
    ),
    Misbehaviour(
        does="cuts the prompt to its context, in silence",
        lines=(_faulty(tokens=(4096, 12)),),
        settings={"num_ctx": 4096, "max_tokens": 512},
        end=error(
            "model",
            "The model ... read only a part of the question ... Raise PYTHON_CODER_NUM_CTX "
            "(now 4096) ...",
            calls=1,
        ),
    ),
)
