"""What ``docs/api.md`` says of all endpoints together, and the order of its sections."""

from __future__ import annotations

from typing import Final

GENERAL: Final = """
# The HTTP API

`python-coder serve` speaks OpenAI's API, with fields of its own beside it. This page is written by
`make docs` from the server's description, which a running server gives as `/openapi.json`.

```sh
URL=http://127.0.0.1:8000
curl "$URL/v1/models" -H "Authorization: Bearer $KEY"
```

**Keys.** A server without keys answers this machine only, and asks for none. Where there are keys
(`python-coder keys create`), every request below `/v1` needs one: `Authorization: Bearer KEY`, or
`X-API-Key: KEY`. What one owner made, another one's key cannot see: it is 404.

**Errors** have one form, whatever the status, [Error](#error): `{"error": {"message", "type", "param",
"code"}}`. The message says what happened and what to do. Once a program has run, a request is never
answered with a status that makes a client send it again: what would be 408, 409, 429 or 5xx is 424 with
`X-Should-Retry: false`.

**Unknown fields** are ignored where OpenAI's clients may send them (chat, responses) and refused with 400
where only this server has the endpoint (`/v1/execute`, ...). Bodies are JSON in UTF-8 unless it says
otherwise; compressed bodies are not taken.

**Streams** are server-sent events: lines `data: {...}`, an empty line behind each, no `event:` lines in
chat completions; the last one is `data: [DONE]` there. Silence is filled with comment lines
(`: keep-alive`), which clients skip. What goes wrong after a stream has begun is a line with an
[Error](#error); the status is 200 by then. A client that closes the connection ends its request, and
everything it runs.

**Lists** come in pages: `limit` of them, those that follow the id `after`, in the `order` of their
arrival, `asc` or `desc`. `has_more` says whether there are others; `last_id` is the next `after`.

**Times** are Unix time in seconds, sizes are bytes. Ids are not to be taken apart.

In the tables, a `?` behind a field means that it may be absent.
"""

SECTIONS: Final[dict[str, tuple[str, str]]] = {
    "chat": (
        "Chat completions",
        """
What OpenAI's clients and chat front ends call. The server's own tools do the work: the answer has its
pictures and files as markdown links, and `x_agent_metadata` says how it came about.

Which agent answers is said by `agent_type`, by `metadata.agent_type`, by the header `X-Agent-Type` or
behind the model's name, `NAME@react`. The conversation is named by `session_id`, by `metadata.session_id` or by one of the headers
`X-Session-Id`, `X-OpenWebUI-Chat-Id`, `X-Conversation-ID`; without any, the messages that are sent are all
there is. Where a header names a conversation that is not there, it begins; a `session_id` in the body must
exist.

Accepted and without effect: `presence_penalty`, `frequency_penalty`, `logit_bias`, `logprobs`,
`top_logprobs`, `parallel_tool_calls`, `service_tier`, `store`, `reasoning_effort`, `n: 1`. Refused with
`unsupported_parameter`, because they would change the answer's form: `n` above 1, `tools`, `functions`,
`tool_choice` and `function_call` other than `none` and `auto`, `modalities` with `audio`.
""",
    ),
    "responses": (
        "Responses",
        """
OpenAI's Responses API with the `code_interpreter` tool: programs that ran are items of their own, live in
the stream, and their containers are sessions.
""",
    ),
    "containers": (
        "Containers",
        "Where the programs of responses keep their variables and files: sessions under OpenAI's name.",
    ),
    "files": (
        "Files",
        """
What is uploaded, and what programs wrote. Bytes are kept once, however many files have them; a file is its
owner's only. What a file is, is said by its ending and, for what browsers would run or show, by its bytes.
Pages and drawings (`text/html`, `image/svg+xml`) are sent with a `Content-Security-Policy` that keeps
their scripts from running.

**Links.** The `url` of an artifact opens its file without a key, in any browser, for a week. `POST
/v1/files/{file_id}/link` makes one for as long as it is told to. A link ends when its time is over, when
its file is deleted, and, all of them, when the file `link-secret` in the data folder is removed and the
server started anew. Links begin with `PUBLIC_BASE_URL`, or as the request was addressed.
""",
    ),
    "execute": (
        "Programs",
        "A program of the caller's own, in the same sandbox, without any model.",
    ),
    "runs": (
        "Runs",
        "Every request that leads to a program is kept as a run; one can also be worked on in the background.",
    ),
    "sessions": (
        "Sessions",
        "Conversations: their messages, and the variables and files that their programs left behind.",
    ),
    "models": ("Models", "What can be written into a request's `model`."),
    "keys": ("Keys", "For admins; `python-coder keys` does the same at the machine itself."),
    "health": ("Health", "Without a key, unless it says otherwise."),
}
"""Tag of the routes -> title, and what is said before the endpoints."""
