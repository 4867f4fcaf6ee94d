"""The command ``llm``, with a model of its ``extra-openai-models.yaml``: ``llm_command.py URL NAME``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

from report import (
    BREAKS,
    BREAKS_WITH,
    CANCEL,
    COMPUTE,
    COMPUTE_ANSWER,
    COMPUTE_USAGE,
    PLAIN,
    PLAIN_ANSWER,
    NotApplicable,
    holds,
    report,
    same,
)

url, name = sys.argv[1:]
command = Path(sys.executable).with_name("llm")
folder = tempfile.TemporaryDirectory(prefix="llm-")
environment = {**os.environ, "LLM_USER_PATH": folder.name, "OPENAI_API_KEY": "none"}
Path(folder.name, "extra-openai-models.yaml").write_text(
    "".join(
        f"- model_id: {model.replace('@', '-')}\n  model_name: {model}\n  api_base: {url}/v1\n"
        for model in ("scripted@react", "scripted@chat", "gpt-9")
    ),
    encoding="utf-8",
)


def llm(*arguments):
    return subprocess.run(
        [command, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )


def endpoint(*arguments):
    return llm("openai", "endpoint", f"{url}/v1", *arguments)


def plain():
    listed = endpoint("--models").stdout
    holds("scripted@react" in listed, f"the models are {listed!r}")
    done = endpoint("--no-stream", "-m", "scripted", PLAIN)
    same((done.stdout.strip(), done.returncode), (PLAIN_ANSWER, 0))


def streaming():
    done = endpoint("-m", "scripted@react", "-R", COMPUTE)
    same((done.stdout.strip(), done.returncode), (COMPUTE_ANSWER, 0))


def usage():
    for way in ([], ["--no-stream"]):
        done = llm("-m", "scripted-react", "-u", *way, COMPUTE)
        same((done.stdout.strip(), done.returncode), (COMPUTE_ANSWER, 0))
        expected = f"Token usage: {COMPUTE_USAGE[0]} input, {COMPUTE_USAGE[1]} output"
        holds(expected in done.stderr, f"it says {done.stderr!r}")


def files():
    raise NotApplicable("it has no way to send a file other than a picture, sound or PDF")


def errors():
    done = llm("-m", "gpt-9", "hi")
    holds(done.returncode != 0 and "There is no model" in done.stderr, f"it says {done.stderr!r}")
    done = llm("-m", "scripted-chat", BREAKS)
    holds(done.returncode != 0 and BREAKS_WITH in done.stderr, f"it says {done.stderr!r}")


def cancel():
    asked = CANCEL.format(name=name)
    with subprocess.Popen(
        [command, "openai", "endpoint", f"{url}/v1", "-m", "scripted@react", asked],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        # It shows nothing before the answer; its run is there once it is listed.
        while process.poll() is None and asked not in listed_runs():
            time.sleep(0.2)
        process.terminate()


def listed_runs():
    with urllib.request.urlopen(f"{url}/v1/runs?limit=100") as answer:
        return answer.read().decode()


def responses():
    done = endpoint("--responses", "-R", "-m", "scripted@react", COMPUTE)
    same((done.stdout.strip(), done.returncode), (COMPUTE_ANSWER, 0))


with folder:
    report(
        name,
        f"llm {version('llm')}, openai {version('openai')}",
        plain,
        streaming,
        usage,
        files,
        errors,
        cancel,
        responses,
    )
