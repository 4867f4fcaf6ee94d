"""OpenAI's SDK, any of its generations: ``openai_sdk.py URL NAME``."""

from __future__ import annotations

import sys

import openai
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
api = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)


def says(text):
    return [{"role": "user", "content": text}]


def plain():
    ids = [model.id for model in api.models.list()]
    holds("scripted@react" in ids, f"no scripted@react among {ids}")
    same(api.models.retrieve("scripted@react").id, "scripted@react")
    reply = api.chat.completions.create(model="scripted", messages=says(PLAIN))
    same(reply.choices[0].message.content, PLAIN_ANSWER)
    same(reply.choices[0].finish_reason, "stop")
    reply = api.chat.completions.create(
        model="scripted", messages=says(COMPUTE), extra_body={"agent_type": "react"}
    )
    same(reply.choices[0].message.content, COMPUTE_ANSWER)
    same(reply.model_extra["x_agent_metadata"]["output"], "42\n")


def streaming():
    parts = list(
        api.chat.completions.create(model="scripted@react", messages=says(COMPUTE), stream=True)
    )
    same(parts[0].choices[0].delta.role, "assistant")
    words = [part.choices[0].delta.content or "" for part in parts if part.choices]
    same("".join(words), COMPUTE_ANSWER)
    same(parts[-1].choices[0].finish_reason, "stop")
    same(len({part.id for part in parts}), 1)
    steps = [(part.choices[0].delta.model_extra or {}).get("reasoning_content") for part in parts]
    holds("print(6 * 7)" in "".join(step or "" for step in steps), "the steps are not told")


def usage():
    reply = api.chat.completions.create(model="scripted@chat", messages=says(PLAIN))
    same((reply.usage.prompt_tokens, reply.usage.completion_tokens), PLAIN_USAGE)
    reply = api.chat.completions.create(model="scripted@react", messages=says(COMPUTE))
    same((reply.usage.prompt_tokens, reply.usage.completion_tokens), COMPUTE_USAGE)
    same(reply.usage.total_tokens, sum(COMPUTE_USAGE))
    parts = list(
        api.chat.completions.create(
            model="scripted@react",
            messages=says(COMPUTE),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    same(parts[-1].usage.total_tokens, sum(COMPUTE_USAGE))
    same([part.usage for part in parts[:-1] if part.usage], [])


def files():
    file = api.files.create(file=("weights.csv", CSV), purpose="assistants")
    holds(file.id in [each.id for each in api.files.list()], "it is not listed")
    same(api.files.retrieve(file.id).filename, "weights.csv")
    same(api.files.content(file.id).read(), CSV)
    part = {"type": "file", "file": {"file_id": file.id}}
    content = [{"type": "text", "text": FILES}, part]
    for more in ({"messages": [{"role": "user", "content": content}]}, None):
        by_field = {"messages": says(FILES), "extra_body": {"file_ids": [file.id]}}
        reply = api.chat.completions.create(model="scripted@react", **(more or by_field))
        text = reply.choices[0].message.content
        holds(text.startswith(FILES_ANSWER), f"it says {text!r}")
    [plot] = reply.model_extra["x_agent_metadata"]["artifacts"]
    holds(f"![plot.png]({plot['url']})" in text, "there is no picture in the words")
    holds(api.files.content(plot["id"]).read().startswith(b"\x89PNG"), "the plot is no PNG")
    holds(api.files.delete(file.id).deleted, "it was not deleted")
    try:
        api.files.retrieve(file.id)
    except openai.NotFoundError:
        pass
    else:
        raise AssertionError("a deleted file is still there")


def errors():
    for model, text, expected in (
        ("gpt-9", "hi", openai.NotFoundError),
        ("scripted", "", openai.BadRequestError),
        ("scripted@fly", "hi", openai.BadRequestError),
    ):
        try:
            api.chat.completions.create(model=model, messages=says(text))
        except expected as error:
            holds(error.body["message"] in str(error), "the message is lost")
        else:
            raise AssertionError(f"{model} {text!r} was answered")
    try:
        list(api.chat.completions.create(model="scripted@chat", messages=says(BREAKS), stream=True))
    except openai.APIError as error:
        holds(BREAKS_WITH in str(error), f"it says {error}")
    else:
        raise AssertionError("a broken stream looks whole")


def cancel():
    stream = api.chat.completions.create(
        model="scripted@react", messages=says(CANCEL.format(name=name)), stream=True
    )
    told = ""
    for part in stream:
        told += (part.choices[0].delta.model_extra or {}).get("reasoning_content") or ""
        if "time.sleep" in told:
            break
    stream.close()


def responses():
    container = {"type": "auto"}
    tools = [{"type": "code_interpreter", "container": container}]
    reply = api.responses.create(
        model="scripted@react",
        input=COMPUTE,
        tools=tools,
        include=["code_interpreter_call.outputs"],
    )
    same(reply.output_text, COMPUTE_ANSWER)
    [call] = [item for item in reply.output if item.type == "code_interpreter_call"]
    same(call.code.strip(), "print(6 * 7)")
    same([each.logs for each in call.outputs if each.type == "logs"], ["42\n"])
    same((reply.usage.input_tokens, reply.usage.output_tokens), COMPUTE_USAGE)
    kinds = [
        event.type
        for event in api.responses.create(
            model="scripted@react", input=COMPUTE, tools=tools, stream=True
        )
    ]
    same(kinds[0], "response.created")
    same(kinds[-1], "response.completed")
    holds("response.code_interpreter_call.interpreting" in kinds, f"the events are {kinds}")


report(
    name,
    f"openai {openai.__version__}",
    plain,
    streaming,
    usage,
    files,
    errors,
    cancel,
    responses,
)
