"""The channels of gpt-oss ("harmony"): what is thought, what is called, and what is said aloud."""

from __future__ import annotations

import re
from typing import Final

_MARK: Final = re.compile(r"<\|(start|channel|constrain|message|end|return|call)\|>")
_RECIPIENT: Final = re.compile(r"\bto=(?:functions\.)?(\w+)")
_BARE: Final = re.compile(r"analysis(?=[A-Z\"'`*\d(])")
_BARE_FINAL: Final = "assistantfinal"


def said_aloud(text: str) -> str:
    """The text without what was said in the channel ``analysis`` and without the marks.

    What is addressed to a tool is kept whatever its channel; a program sent to one is put into
    ``<code>`` tags, so that it stays apart from the words around it. Where a server has taken the
    marks away (``analysisHm.assistantfinalYes.``), what follows the last one counts.
    """
    if "<|channel|>" not in text:
        bare = _BARE.match(text) is not None and _BARE_FINAL in text
        return text.rpartition(_BARE_FINAL)[2] if bare else text
    first, *rest = _MARK.split(text)
    kept, header = [first], ""
    for mark, said in zip(rest[::2], rest[1::2], strict=True):
        match mark:
            case "message":
                kept.append(_message(header, said))
                header = ""
            case "channel" | "constrain":
                header += f" {mark} {said}"
            case "start":
                header = said
            case _:
                kept.append(said)
                header = ""
    return "\n".join(part for part in kept if part.strip())


def _message(header: str, said: str) -> str:
    if _RECIPIENT.search(header):
        is_object = said.lstrip()[:1] in ("{", "[")
        return said if is_object or "```" in said else f"<code>\n{said}\n</code>"
    return "" if re.search(r"channel\s+analysis\b", header) else said
