"""LangChain's ChatOpenAI: ``langchain_openai_client.py URL NAME``."""

from __future__ import annotations

import base64
import sys
from importlib.metadata import version

import openai
from langchain_openai import ChatOpenAI
from report import (
    BREAKS,
    BREAKS_WITH,
    CANCEL,
    COMPUTE,
    COMPUTE_ANSWER,
    COMPUTE_USAGE,
    CSV,
    FILES,
    FILES_ANSWER,
    PLAIN,
    PLAIN_ANSWER,
    PLAIN_USAGE,
    holds,
    report,
    same,
)

url, name = sys.argv[1:]


def model(model_name="scripted@react", **more):
    return ChatOpenAI(
        model=model_name, base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60, **more
    )


def plain():
    same(model("scripted").invoke(PLAIN).content, PLAIN_ANSWER)
    same(model().invoke(COMPUTE).content, COMPUTE_ANSWER)
    chosen = model("scripted", extra_body={"agent_type": "react"})
    same(chosen.invoke([("system", "Be brief."), ("human", COMPUTE)]).content, COMPUTE_ANSWER)


def streaming():
    whole = None
    for part in model().stream(COMPUTE):
        whole = part if whole is None else whole + part
    same(whole.content, COMPUTE_ANSWER)
    same(whole.response_metadata["finish_reason"], "stop")


def usage():
    used = model("scripted@chat").invoke(PLAIN).usage_metadata
    same((used["input_tokens"], used["output_tokens"]), PLAIN_USAGE)
    whole = None
    for part in model(stream_usage=True).stream(COMPUTE):
        whole = part if whole is None else whole + part
    used = whole.usage_metadata
    same((used["input_tokens"], used["output_tokens"]), COMPUTE_USAGE)


def files():
    data = f"data:text/csv;base64,{base64.b64encode(CSV).decode()}"
    part = {"type": "file", "file": {"file_data": data, "filename": "weights.csv"}}
    reply = model().invoke([("human", [{"type": "text", "text": FILES}, part])])
    holds(reply.content.startswith(FILES_ANSWER), f"it says {reply.content!r}")
    holds("![plot.png](http" in reply.content, "there is no picture in the words")


def errors():
    for name_of, text, expected in (
        ("gpt-9", "hi", openai.NotFoundError),
        ("scripted@fly", "hi", openai.BadRequestError),
    ):
        try:
            model(name_of).invoke(text)
        except expected:
            pass
        else:
            raise AssertionError(f"{name_of} was answered")
    try:
        list(model("scripted@chat").stream(BREAKS))
    except openai.APIError as error:
        holds(BREAKS_WITH in str(error), f"it says {error}")
    else:
        raise AssertionError("a broken stream looks whole")


def cancel():
    parts = model().stream(CANCEL.format(name=name))
    next(parts)
    parts.close()


def responses():
    asked = model(use_responses_api=True)
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    reply = asked.bind_tools(tools).invoke(COMPUTE)
    same(reply.text, COMPUTE_ANSWER)
    kinds = [block.get("type") for block in reply.content]
    holds("code_interpreter_call" in kinds, f"its blocks are {kinds}")
    used = reply.usage_metadata
    same((used["input_tokens"], used["output_tokens"]), COMPUTE_USAGE)


report(
    name,
    f"langchain-openai {version('langchain-openai')}, openai {openai.__version__}",
    plain,
    streaming,
    usage,
    files,
    errors,
    cancel,
    responses,
)
