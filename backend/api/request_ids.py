"""The id of a request: the client's own where it sent a sane one, else one made here.

It goes back with every answer as ``X-Request-Id``, and stands in logs, spans and the audit trail.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

HEADER: Final = b"x-request-id"
_SANE: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id under which a request is known.

    Args:
        headers: of the request, as ASGI has them: the names in small letters.
    """
    for name, value in headers:
        if name == HEADER and _SANE.fullmatch(value):
            return value.decode("ascii")
    return f"req-{secrets.token_hex(12)}"
