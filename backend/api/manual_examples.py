"""Requests that ``docs/api.md`` shows; a test sends each of them as it is shown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request to a server at ``$URL``."""

    method: str
    template: str
    """Its path in the description."""
    path: str = ""
    """Its path with parameters in their places, and the query; '' where it has none. ``$FILE`` stands
    for a file's id, ``$SESSION`` for a conversation's."""
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    upload: tuple[str, str] | None = None
    """A file's name, and what is in it."""

    @property
    def address(self) -> str:
        """Path and query as they are sent."""
        return self.path or self.template

    def as_curl(self) -> str:
        """The request as a command."""
        parts = ["curl"]
        if self.method != "GET":
            parts.append(f"-X {self.method}")
        parts.append(f'"$URL{self.address}"')
        words = [" ".join(parts), '-H "Authorization: Bearer $KEY"']
        if self.json is not None:
            words.append('-H "Content-Type: application/json"')
            words.append("-d " + shlex.quote(json.dumps(self.json, ensure_ascii=False)))
        for name, value in self.form.items():
            words.append(f"-F {shlex.quote(f'{name}={value}')}")
        if self.upload is not None:
            words.append(f"-F {shlex.quote(f'file=@{self.upload[0]}')}")
        return " \\\n  ".join(words)


EXAMPLES: tuple[Example, ...] = (
    Example(
        method="POST",
        template="/v1/chat/completions",
        json={
            "model": "python-coder",
            "messages": [{"role": "user", "content": "What is the mean of the column amount?"}],
            "file_ids": ["$FILE"],
        },
    ),
    Example(
        method="POST",
        template="/v1/chat/completions",
        json={
            "messages": [{"role": "user", "content": "Hello"}],
            "agent_type": "chat",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    Example(
        method="POST",
        template="/v1/files",
        form={
            "purpose": "assistants",
            "expires_after[anchor]": "created_at",
            "expires_after[seconds]": "86400",
        },
        upload=("sales.csv", "month,amount\n1,10\n2,32\n"),
    ),
    Example(method="GET", template="/v1/files", path="/v1/files?limit=10&order=desc"),
    Example(method="GET", template="/v1/files/{file_id}", path="/v1/files/$FILE"),
    Example(method="GET", template="/v1/files/{file_id}/content", path="/v1/files/$FILE/content"),
    Example(
        method="POST",
        template="/v1/files/{file_id}/link",
        path="/v1/files/$FILE/link",
        json={"lifetime_s": 3600},
    ),
    Example(
        method="POST",
        template="/v1/execute",
        json={
            "code": "import pandas\nprint(pandas.read_csv('sales.csv').amount.mean())",
            "file_ids": ["$FILE"],
            "timeout_s": 20,
        },
    ),
    Example(method="POST", template="/v1/sessions"),
    Example(
        method="GET",
        template="/v1/sessions/{session_id}/messages",
        path="/v1/sessions/$SESSION/messages?order=asc",
    ),
    Example(method="GET", template="/v1/models"),
    Example(method="GET", template="/ready"),
    Example(method="DELETE", template="/v1/files/{file_id}", path="/v1/files/$FILE"),
)
