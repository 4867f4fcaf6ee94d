"""The command ``curl``: ``curl_command.py URL NAME``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

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


def curl(path, *arguments):
    """The status and the body."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", f"{url}{path}", *arguments],
        capture_output=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def posting(body):
    return ["-H", "Content-Type: application/json", "-d", json.dumps(body)]


def ask(text, model="scripted@react", **more):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    status, answer = curl("/v1/chat/completions", *posting(body))
    return status, answer.decode()


def whole(text, **more):
    status, answer = ask(text, **more)
    same(status, 200)
    return json.loads(answer)


def chunks(text, **more):
    status, answer = ask(text, stream=True, **more)
    same(status, 200)
    events = [line for line in answer.splitlines() if line]
    same(events[-1], "data: [DONE]")
    return [json.loads(line[6:]) for line in events[:-1] if line.startswith("data: ")]


def plain():
    status, listed = curl("/v1/models")
    same(status, 200)
    holds("scripted@react" in listed.decode(), "the model is not listed")
    same(whole(PLAIN, model="scripted")["choices"][0]["message"]["content"], PLAIN_ANSWER)
    answer = whole(COMPUTE)
    same(answer["choices"][0]["message"]["content"], COMPUTE_ANSWER)
    same(answer["x_agent_metadata"]["output"], "42\n")


def streaming():
    parts = chunks(COMPUTE)
    same(parts[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
    words = [part["choices"][0]["delta"].get("content") or "" for part in parts]
    same("".join(words), COMPUTE_ANSWER)
    same(parts[-1]["choices"][0]["finish_reason"], "stop")


def usage():
    used = whole(PLAIN, model="scripted@chat")["usage"]
    same((used["prompt_tokens"], used["completion_tokens"]), PLAIN_USAGE)
    parts = chunks(COMPUTE, stream_options={"include_usage": True})
    used = parts[-1]["usage"]
    same((used["prompt_tokens"], used["completion_tokens"]), COMPUTE_USAGE)
    holds(all(part["usage"] is None for part in parts[:-1]), "usage comes twice")


def files():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.csv")
        path.write_bytes(CSV)
        form = ["-F", "purpose=assistants", "-F", f"file=@{path}"]
        status, made = curl("/v1/files", *form)
    same(status, 200)
    file_id = json.loads(made)["id"]
    same(curl(f"/v1/files/{file_id}/content"), (200, CSV))
    answer = whole(FILES, file_ids=[file_id])
    holds(answer["choices"][0]["message"]["content"].startswith(FILES_ANSWER), "a wrong answer")
    [plot] = answer["x_agent_metadata"]["artifacts"]
    status, picture = curl(plot["url"].removeprefix(url))
    holds(status == 200 and picture.startswith(b"\x89PNG"), "the link gives no PNG")
    same(curl(f"/v1/files/{file_id}", "-X", "DELETE")[0], 200)
    same(curl(f"/v1/files/{file_id}")[0], 404)


def errors():
    status, answer = ask("hi", model="gpt-9")
    same((status, json.loads(answer)["error"]["code"]), (404, "model_not_found"))
    status, answer = curl("/v1/chat/completions", "-d", "{", *posting({})[:2])
    same((status, json.loads(answer)["error"]["type"]), (400, "invalid_request_error"))
    told = chunks(BREAKS, model="scripted@chat")[-1]
    holds(BREAKS_WITH in told["error"]["message"], f"it says {told}")


def cancel():
    messages = [{"role": "user", "content": CANCEL.format(name=name)}]
    body = {"model": "scripted@react", "messages": messages, "stream": True}
    with subprocess.Popen(
        ["curl", "-sSN", f"{url}/v1/chat/completions", *posting(body)], stdout=subprocess.PIPE
    ) as process:
        seen = any(b"time.sleep" in line for line in process.stdout)
        process.terminate()
    holds(seen, "the program was not told")


def responses():
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    body = {"model": "scripted@react", "input": COMPUTE, "tools": tools}
    status, answer = curl("/v1/responses", *posting(body))
    same(status, 200)
    kinds = [item["type"] for item in json.loads(answer)["output"]]
    holds({"code_interpreter_call", "message"} <= set(kinds), f"its items are {kinds}")


def curl_version():
    told = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    return " ".join(told.stdout.split()[:2])


report(
    name,
    curl_version(),
    plain,
    streaming,
    usage,
    files,
    errors,
    cancel,
    responses,
)
