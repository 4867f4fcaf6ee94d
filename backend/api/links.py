"""Links to a file's content that a browser can open without a key, for a while."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

from backend.store.database import LOCAL_OWNER

LIFETIME_S = 7 * 24 * 3600
"""A week: chat front ends show a conversation's plots again whenever it is opened."""

LINK = re.compile(r"(?:https?://[^\s()]{1,300})?/v1/files/(file-[0-9a-f]+)/content\?[^\s()]*")
"""A link of ours in a text, wherever the server was reached; its group is the file's id."""


class SignedLinks:
    """Signs and checks ``/v1/files/{id}/content?expires=...&by=...&signature=...``.

    Whoever opens one has no key: ``by`` names the owner, so that the file is looked for among the
    owner's, as everything is.
    """

    def __init__(self, secret: bytes, *, lifetime_s: int = LIFETIME_S) -> None:
        self._secret = secret
        self._lifetime_s = lifetime_s

    def url(self, base_url: str, file_id: str, *, owner: str, expires: int | None = None) -> str:
        """An absolute link to a file's content, good until ``expires`` or for the usual time."""
        if expires is None:
            expires = int(time.time()) + self._lifetime_s
        by = {} if owner == LOCAL_OWNER else {"by": owner}
        signature = self._sign(file_id, owner, expires)
        query = urlencode({"expires": expires} | by | {"signature": signature})
        return f"{base_url}/v1/files/{file_id}/content?{query}"

    def allows(self, file_id: str, *, owner: str, expires: int, signature: str) -> bool:
        """Whether a link was signed here for this owner's file and has not expired."""
        expected = self._sign(file_id, owner, expires)
        return hmac.compare_digest(expected.encode(), signature.encode()) and expires > time.time()

    def _sign(self, file_id: str, owner: str, expires: int) -> str:
        # Links of a server without keys name no owner, and are as they were before there were any.
        of = "" if owner == LOCAL_OWNER else f"\n{owner}"
        message = f"{file_id}\n{expires}{of}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def link_secret(data_dir: Path) -> bytes:
    """The secret in the data folder that links are signed with; made on first use, 0600.

    Links stay good over a restart, and end for good when the file is deleted.
    """
    path = data_dir / "link-secret"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        # Written beside and linked: another server that starts now never finds half of it.
        with tempfile.NamedTemporaryFile("w", dir=data_dir, encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return bytes.fromhex(path.read_text(encoding="ascii").strip())
