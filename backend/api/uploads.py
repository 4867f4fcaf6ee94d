"""A file out of a ``multipart/form-data`` body, straight to disk as it comes in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from backend.api.body import drain
from backend.api.errors import validation_error
from backend.api.shapes.field_texts import add_field_texts
from backend.errors import RequestError, TooLarge
from backend.sandbox.file_types import require_supported, shown_type
from backend.store.blobs import Incoming
from backend.store.file_names import safe_name

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD_BYTES = 10_000
"""What a field beside the file may have."""
MOST_FIELDS = 100
BESIDE_BYTES = 2 * 1024 * 1024
"""Of a body, what is not the file's: fields, headers, and what stands before and behind the parts."""
MOST_SECONDS = 10 * 365 * 24 * 3600
_HEAD = 512
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_WHAT = "Send the fields 'file' and 'purpose'."


class UploadFields(BaseModel):
    """The fields beside the file."""

    model_config = ConfigDict(json_schema_extra=add_field_texts, frozen=True)

    purpose: Annotated[str, Field(pattern=f"^{_PURPOSE.pattern}$")] = "assistants"
    """What it is for; kept as it is, and the list can be asked for one purpose only."""
    anchor: Literal["created_at"] | None = Field(None, alias="expires_after[anchor]")
    """From when `expires_after[seconds]` counts."""
    seconds: int | None = Field(None, alias="expires_after[seconds]", ge=1, le=MOST_SECONDS)
    """Seconds after which the file is gone; without it, it stays until it is deleted."""

    @field_validator("purpose", mode="before")
    @classmethod
    def _tell_purpose(cls, given: str) -> str:
        """Say more than that a pattern does not match."""
        if not _PURPOSE.fullmatch(given):
            raise ValueError(
                f"{given[:80]!r}, of {len(given)} characters, is none. Use 1 to 64 of a-z, 0-9, "
                "_ and -, a letter first, as 'assistants'"
            )
        return given


class UploadForm(UploadFields):
    """The form of an upload."""

    file: Annotated[bytes, Field(json_schema_extra={"format": "binary"})]
    """The file, with its name; the ending says what it is. An unknown ending is refused with a list
    of those that are taken."""


@dataclass(kw_only=True)
class Form:
    """What came with a file."""

    filename: str | None = None
    media_type: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def read_fields(self) -> UploadFields:
        """The fields beside the file.

        Raises:
            RequestError: one has a value that it cannot have.
        """
        try:
            fields = UploadFields.model_validate(
                {name: value for name, value in self.fields.items() if value}
            )
        except ValidationError as error:
            raise validation_error(error) from None
        if fields.anchor is not None and fields.seconds is None:
            raise RequestError(
                "'expires_after[anchor]' says from when, but not for how long.",
                "Send 'expires_after[seconds]', too.",
                param="expires_after[seconds]",
            )
        return fields


async def receive_form(request: Request, incoming: Incoming) -> Form:
    """Read the body: the part ``file`` into ``incoming``, the others into the form.

    Raises:
        RequestError: it is not such a form, has no file or more than one, or of no use.
        TooLarge: the file is over its limit; the rest of it is not kept.
    """
    try:
        return await _receive(request, incoming)
    except RequestError:
        await drain(request)
        raise


async def _receive(request: Request, incoming: Incoming) -> Form:
    form, reader = Form(), _Reader(request.headers.get("content-type", ""))
    into_file, name, value, head, received = False, "", b"", b"", 0
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            received += len(chunk)
            for kind, data in reader.read(chunk):
                if kind == "begin":
                    name, value, into_file = data["name"], b"", data["filename"] is not None
                    if into_file:
                        _note_file(form, data)
                elif kind == "data" and into_file:
                    head = head or bytes(data[:_HEAD])
                    await incoming.write(data)
                elif kind == "data":
                    value = _bounded(value + data, name)
                elif not into_file:
                    _refuse_more_fields(form)
                    form.fields[name] = value.decode("utf-8", errors="replace")
            if received - incoming.size > BESIDE_BYTES:
                raise TooLarge("The form has more beside the file than can be of use.", _WHAT)
    reader.finish()
    if form.filename is None:
        raise RequestError("The form has no file.", "Send it as the field 'file'.", param="file")
    require_supported(form.filename, incoming.size)
    form.media_type = shown_type(form.media_type, head)
    return form


def _note_file(form: Form, part: dict[str, Any]) -> None:
    if part["name"] != "file" or form.filename is not None:
        raise RequestError(
            "There is a file in another field than 'file', or a second one.",
            "Send one file a request, as the field 'file'.",
            param=part["name"][:80],
        )
    form.filename = safe_name(part["filename"])
    # What is of no use is refused before it has all come.
    form.media_type = require_supported(form.filename, 1)


def _refuse_more_fields(form: Form) -> None:
    if len(form.fields) >= MOST_FIELDS:
        raise RequestError(f"The form has more than {MOST_FIELDS} fields.", _WHAT)


def _bounded(value: bytes, name: str) -> bytes:
    if len(value) > FIELD_BYTES:
        raise RequestError(
            f"The field {name[:80]!r} is too long.",
            f"Send at most {FIELD_BYTES} bytes.",
            param=name[:80],
        )
    return value


class _Reader:
    """The parser's callbacks, turned into a sequence: ``begin``, ``data`` ..., ``end``."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise RequestError("The body is not multipart/form-data.", _WHAT)
        self._events: list[tuple[str, Any]] = []
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError:
            raise _broken() from None

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_data": lambda data, start, end: self._events.append(("data", data[start:end])),
            "on_part_end": lambda: self._events.append(("end", None)),
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_end": self._on_end,
        }

    def read(self, chunk: bytes) -> Iterator[tuple[str, Any]]:
        """What the next bytes hold."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _broken() from None
        events, self._events = self._events, []
        yield from events

    def finish(self) -> None:
        """See that the form was whole."""
        if not self._ended:
            raise _broken()

    def _on_header_end(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name, filename = options.get(b"name"), options.get(b"filename")
        self._disposition = b""
        if name is None:
            raise _broken()
        self._events.append(
            (
                "begin",
                {
                    "name": name.decode("utf-8", errors="replace"),
                    "filename": None if filename is None else _file_name(filename),
                },
            )
        )

    def _on_end(self) -> None:
        self._ended = True


def _file_name(raw: bytes) -> str:
    """A file's name as forms write it: UTF-8, with quotes and line ends percent-encoded."""
    text = raw.decode("utf-8", errors="replace")
    for code in ("%22", "%0D", "%0A"):
        text = text.replace(code, unquote(code))
    return text


def _broken() -> RequestError:
    return RequestError("The form is broken or was cut off.", "Send it again.")
