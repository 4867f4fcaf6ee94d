"""The clients people use: OpenAI's SDK and LangChain's, unchanged, over a socket."""

from __future__ import annotations

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI

from tests.api.conftest import Serve
from tests.scripts import APPROVE, act, answer, generate, plan

MEAN = "import pandas as pd\nprint('mean', pd.read_csv('weights.csv')['kg'].mean())"


def sdk(client: httpx.Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)


def test_the_sdk_lists_models_and_asks(client: httpx.Client) -> None:
    with sdk(client) as api:
        assert "scripted@react" in [model.id for model in api.models.list()]
        assert api.models.retrieve("scripted").owned_by == "scripted"
        reply = api.chat.completions.create(
            model="scripted", messages=[{"role": "user", "content": "hello"}]
        )
    assert reply.choices[0].message.content == "ok"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == 4
    assert reply.model_extra is not None
    assert reply.model_extra["x_session_id"].startswith("session-")


def test_the_sdk_streams(client: httpx.Client) -> None:
    with sdk(client) as api:
        parts = list(
            api.chat.completions.create(
                model="scripted@chat",
                messages=[{"role": "user", "content": "hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == "ok"
    assert parts[-2].choices[0].finish_reason == "stop"
    assert parts[-1].usage is not None
    assert parts[-1].usage.total_tokens == 4


def test_the_sdk_uploads_a_file_and_asks_for_its_column(serve: Serve) -> None:
    client = serve(
        act("python_coder", "mean of kg"),
        generate(MEAN, when="kg"),
        APPROVE,
        act("finish", "The mean is 61.5 kg.", when=r"mean 61\.5"),
    )
    with sdk(client) as api:
        file = api.files.create(
            file=("weights.csv", b"name,kg\na,60.0\nb,63.0\n"), purpose="assistants"
        )
        assert [each.id for each in api.files.list()] == [file.id]
        assert api.files.retrieve(file.id).filename == "weights.csv"
        assert api.files.content(file.id).read().startswith(b"name,kg")
        reply = api.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "What is the mean of column kg?"}],
            extra_body={"file_ids": [file.id]},
        )
        assert reply.choices[0].message.content == "The mean is 61.5 kg."
        assert api.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            api.files.retrieve(file.id)


@pytest.mark.parametrize("agent_type", ["react", "plan_execute", "auto"])
def test_the_sdk_chooses_the_agent(serve: Serve, agent_type: str) -> None:
    client = serve(
        act("python_coder", "primes"),
        plan(("python_coder", "primes")),
        generate("print([n for n in range(2, 100) if all(n % d for d in range(2, n))])"),
        APPROVE,
        act("finish", "There are 25.", when="89, 97"),
        answer("There are 25.", when="89, 97"),
    )
    with sdk(client) as api:
        reply = api.chat.completions.create(
            model="scripted",
            messages=[
                {
                    "role": "user",
                    "content": "Write Python code to calculate prime numbers up to 100",
                }
            ],
            extra_body={"agent_type": agent_type},
        )
    assert reply.choices[0].message.content == "There are 25."
    assert reply.model_extra is not None
    metadata = reply.model_extra["x_agent_metadata"]
    assert metadata["agent_selected"] == ("react" if agent_type == "auto" else agent_type)
    assert metadata["agent_selection_mode"] == ("auto" if agent_type == "auto" else "explicit")
    assert metadata["python_coder_results"][0]["output"].endswith("89, 97]\n")


@pytest.mark.parametrize(
    ("model", "content", "error"),
    [
        ("gpt-9", "hi", openai.NotFoundError),
        ("scripted", "", openai.BadRequestError),
        ("scripted@fly", "hi", openai.BadRequestError),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_sdk_raises_its_own_errors_with_our_words(
    client: httpx.Client, model: str, content: str, error: type[openai.APIStatusError], stream: bool
) -> None:
    with sdk(client) as api, pytest.raises(error) as caught:
        api.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], stream=stream
        )
    assert caught.value.body is not None
    assert "Error code" in str(caught.value)
    assert caught.value.type == "invalid_request_error"


def test_the_sdk_raises_what_fails_in_a_stream(serve: Serve) -> None:
    line = {"stage": "chat", "error": "500 boom", "delay_s": 0.5, "repeat": True}
    client = serve(line, stream_keep_alive_s=0.1)
    with sdk(client) as api, pytest.raises(openai.APIError, match="boom"):
        list(
            api.chat.completions.create(
                model="scripted@chat",
                messages=[{"role": "user", "content": "hello"}],
                stream=True,
            )
        )


def langchain(client: httpx.Client) -> ChatOpenAI:
    return ChatOpenAI(
        model="scripted@react",
        base_url=f"{client.base_url}/v1",
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
    )


def test_langchain_asks_and_streams(serve: Serve) -> None:
    client = serve(
        *[
            line
            for _ in range(2)
            for line in (
                act("python_coder", "multiply", tokens=[5, 5]),
                generate("print(6 * 7)", tokens=[5, 5]),
                act("finish", "It is 42.", when="42", tokens=[5, 5]),
            )
        ],
        APPROVE,
    )
    model = langchain(client)
    reply = model.invoke("Compute 6 * 7")
    assert reply.content == "It is 42."
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] > 0
    whole = None
    for part in model.stream("Compute 6 * 7"):
        whole = part if whole is None else whole + part
    assert whole is not None
    assert whole.content == "It is 42."
