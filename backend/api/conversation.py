"""From a client's messages to a question, its history and what is attached to them.

What clients send back of our own answers is cleaned first: pictures in base64, folded ``<details>``
blocks (Open WebUI keeps the steps in them) and signed links are noise to a model.

Images: models are asked in text, so an image that comes as a ``data:`` URI is attached as a file
``image-1.png``, which a program can open, and named in its place in the text. An image that is
somewhere else is never fetched; the text says so.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from backend.api.links import LINK
from backend.api.schemas import ChatMessage, FilePart, ImagePart, RefusalPart, TextPart
from backend.errors import RequestError
from backend.tools.python_executor_engine import SUPPORTED_FILE_TYPES
from backend.types import Message

_DATA_IMAGE = re.compile(r"!\[([^\]\n]{0,200})\]\(data:image/[^)]*\)")
_BARE_DATA_IMAGE = re.compile(r"data:image/[\w.+-]{1,40};base64,[A-Za-z0-9+/=]+")
_OUR_LINK = re.compile(rf"\({LINK.pattern}\)")
_DETAILS = re.compile(r"<(/?)details\b[^>]*>", re.IGNORECASE)
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*;base64,")
_EXTENSIONS = {"jpeg": "jpg", "svg+xml": "svg"}


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file that a message carries: one we have, by its id, or its bytes."""

    file_id: str | None = None
    filename: str = ""
    content: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a client's messages mean."""

    question: str
    system: tuple[Message, ...]
    """Instructions, in the order they came."""
    earlier: tuple[Message, ...]
    """The turns before the question, oldest first."""
    attachments: tuple[Attachment, ...]
    """What the question carries."""
    earlier_attachments: tuple[Attachment, ...]
    """What the user's earlier messages carry, oldest first."""


def read_conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """Take a client's messages apart.

    Raises:
        RequestError: the last message is not the user's, has no words, or a file cannot be read.
    """
    system: list[Message] = []
    turns: list[Message] = []
    attached: list[list[Attachment]] = []
    images = 0
    for index, message in enumerate(messages):
        text, files = _read(message, f"messages.{index}.content", images)
        images += sum(1 for file in files if file.filename.startswith("image-"))
        if message.role in {"system", "developer"}:
            if text.strip():
                system.append(Message(role="system", content=text))
        elif message.role == "user":
            turns.append(Message(role="user", content=text))
            attached.append(files)
        elif text.strip():
            turns.append(Message(role="assistant", content=_of_assistant(message, text)))
    _check_question(messages, turns)
    return Conversation(
        question=turns[-1].content,
        system=tuple(system),
        earlier=tuple(turns[:-1]),
        attachments=tuple(attached[-1]),
        earlier_attachments=tuple(file for files in attached[:-1] for file in files),
    )


def clean_answer(text: str) -> str:
    """An assistant's text as a model should see it again."""
    text = _without_details(text)
    # Behind the last one each beginning would be followed to the text's end, for no end.
    last = text.rfind(")") + 1
    text = _DATA_IMAGE.sub(r"[image \1]", text[:last]) + text[last:]
    text = _BARE_DATA_IMAGE.sub("[image]", text)
    return _OUR_LINK.sub(r"(\1)", text).strip()


def _check_question(messages: Sequence[ChatMessage], turns: Sequence[Message]) -> None:
    if not turns or turns[-1].role != "user":
        raise RequestError(
            "The last message is not the user's.", "End with the question.", param="messages"
        )
    last = next(message for message in reversed(messages) if message.role == "user")
    if not _words(last).strip():
        raise RequestError(
            "The question is empty.", "Say in words what you want to know.", param="messages"
        )


def _words(message: ChatMessage) -> str:
    return "".join(part.text for part in message.content or () if isinstance(part, TextPart))


def _of_assistant(message: ChatMessage, text: str) -> str:
    cleaned = clean_answer(text)
    return cleaned if message.role == "assistant" else f"[result of a tool] {cleaned}"


def _read(message: ChatMessage, field: str, images: int) -> tuple[str, list[Attachment]]:
    texts: list[str] = []
    files: list[Attachment] = []
    for index, part in enumerate(message.content or ()):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        elif isinstance(part, FilePart):
            files.append(_file(part, f"{field}.{index}.file"))
        elif part.file_id:
            files.append(Attachment(file_id=part.file_id))
        elif (image := _image(part, images + 1, f"{field}.{index}.image_url")) is None:
            texts.append("[an image that is not at hand: send png or jpeg as a data: URI]")
        else:
            images += 1
            files.append(image)
            texts.append(f"[attached: {image.filename}]")
    if not texts and message.refusal:
        texts.append(message.refusal)
    return "\n".join(texts), files


def _image(part: ImagePart, number: int, field: str) -> Attachment | None:
    url = part.image_url.url if part.image_url else ""
    match = _DATA_URI.match(url)
    if match is None or not (match[1] or "").startswith("image/"):
        return None
    kind = match[1].partition("/")[2].lower()
    extension = _EXTENSIONS.get(kind, kind)
    if extension not in SUPPORTED_FILE_TYPES:
        return None
    return Attachment(
        filename=f"image-{number}.{extension}",
        content=_decode(url[match.end() :], field),
    )


def _file(part: FilePart, field: str) -> Attachment:
    file = part.file
    if file.file_id:
        return Attachment(file_id=file.file_id)
    if not file.file_data or not file.filename:
        raise RequestError(
            "A file part has neither file_id nor file_data with filename.",
            "Upload the file with POST /v1/files and send its id.",
            param=field,
        )
    match = _DATA_URI.match(file.file_data)
    data = file.file_data[match.end() :] if match else file.file_data
    return Attachment(filename=file.filename, content=_decode(data, field))


def _decode(data: str, field: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("The data is not base64.", "Encode it again.", param=field) from None


def _without_details(text: str) -> str:
    """Leave out ``<details>`` blocks, nested ones too; one that never ends stays as it is."""
    kept: list[str] = []
    depth, begin, after = 0, 0, 0
    for tag in _DETAILS.finditer(text, 0, text.rfind(">") + 1):  # as in clean_answer
        if not tag[1]:
            if depth == 0:
                begin = tag.start()
            depth += 1
        elif depth > 0:
            depth -= 1
            if depth == 0:
                kept.append(text[after:begin])
                after = tag.end()
    return "".join(kept) + text[after:]
