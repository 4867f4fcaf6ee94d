"""A program that waits for approval, in a plain conversation: shown, then decided about in a word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from backend.api.conversation import Conversation
from backend.api.state import Server
from backend.errors import NotFound
from backend.store.run_records import Run
from backend.store.session_records import StoredMessage
from backend.tools.approval import Verdict
from backend.types import Message

_RUN_ID = re.compile(r"\brun-[0-9a-f]{16,64}\b")


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.replace("\n", "|").split("|"))


_YES: Final = _phrases(
    """y|yes|yes please|yeah|yep|yup|sure|ok|okay|approve|approved|run|run it|yes run it|go|go ahead
    do it|proceed|continue|confirm|allow|accept|ja|ja bitte|jawohl|gerne|oui|si|sí|sim|da|да|tak|ano
    evet|kyllä|joo|はい|実行|是|是的|好|好的|可以|同意|运行|네|예|응|हाँ|हां|نعم|כן|👍|✅"""
)
_NO: Final = _phrases(
    """n|no|no thanks|no thank you|nope|nah|reject|rejected|deny|denied|refuse|stop|cancel|abort
    leave it|do not|don't|dont|do not run it|don't run it|nein|nein danke|nee|non|não|nao|нет|nie|ne
    hay\u0131r|ei|いいえ|やめて|不|不要|不行|不可以|拒绝|取消|아니요|아니오|아니|नहीं|لا|לא|👎|❌"""
)


@dataclass(frozen=True, kw_only=True)
class SessionUse:
    """Which conversation a request belongs to."""

    id: str
    source: Literal["named", "header", "new"]
    is_kept: bool
    """It exists already."""


def how_to_decide(approval: Mapping[str, Any]) -> str:
    """What follows the program: how to answer, with the run's id for clients that send it back."""
    return f"\n\nReply **yes** to run it, **no** to leave it. ({approval['run_id']})"


def read_word(said: str) -> Verdict | None:
    """What a whole message decides; None for anything that is more than a yes or a no."""
    text = unicodedata.normalize("NFKC", said.replace("\ufe0f", "").replace("\u2019", "'"))
    word = " ".join(text.casefold().strip(" \t\r\n.,;:!?¡¿*_`\"'()[]。、").split())
    word = word.replace(",", "")
    if word in _YES:
        return "approve"
    return "reject" if word in _NO else None


async def find_waiting(
    session: SessionUse, conversation: Conversation, server: Server, owner: str
) -> Run | None:
    """The run whose program the conversation shows last, if it still waits.

    It is known by its id in the assistant's last message, as the client sent it or as it is kept.
    """
    last: Message | StoredMessage | None = None
    if session.is_kept and (session.source == "named" or not conversation.earlier):
        kept = await server.sessions.messages(session.id, owner=owner, limit=1, order="desc")
        last = next(iter(kept.messages), None)
    elif conversation.earlier:
        last = conversation.earlier[-1]
    if last is None or last.role != "assistant":
        return None
    ids = _RUN_ID.findall(last.content)
    if not ids:
        return None
    try:
        run = await server.recorder.runs.get(ids[-1], owner=owner)
    except NotFound:
        return None
    return run if run.status == "waiting" else None
