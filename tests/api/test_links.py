from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.api.links import SignedLinks, link_secret
from backend.store.database import LOCAL_OWNER


def parts(url: str) -> tuple[int, str]:
    query = parse_qs(urlsplit(url).query)
    return int(query["expires"][0]), query["signature"][0]


def test_a_link_is_good_for_its_file_only() -> None:
    links = SignedLinks(b"secret")
    expires, signature = parts(links.url("http://x", "file-1", owner=LOCAL_OWNER))
    assert links.allows("file-1", owner=LOCAL_OWNER, expires=expires, signature=signature)
    assert not links.allows("file-2", owner=LOCAL_OWNER, expires=expires, signature=signature)
    assert not links.allows("file-1", owner=LOCAL_OWNER, expires=expires + 1, signature=signature)
    assert not links.allows(
        "file-1", owner=LOCAL_OWNER, expires=expires, signature=signature[:-1] + "é"
    )
    assert not SignedLinks(b"other").allows(
        "file-1", owner=LOCAL_OWNER, expires=expires, signature=signature
    )


@pytest.mark.parametrize("lifetime_s", [0, -1])
def test_a_link_ends(lifetime_s: int) -> None:
    links = SignedLinks(b"secret", lifetime_s=lifetime_s)
    expires, signature = parts(links.url("http://x", "file-1", owner=LOCAL_OWNER))
    assert not links.allows("file-1", owner=LOCAL_OWNER, expires=expires, signature=signature)


def test_the_secret_is_made_once_and_nobody_elses_to_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    secret = link_secret(folder)
    assert len(secret) == 32
    assert link_secret(folder) == secret
    assert stat.S_IMODE((folder / "link-secret").stat().st_mode) == 0o600


def test_servers_that_start_at_once_sign_with_one_secret(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(50)]
    with ThreadPoolExecutor(4) as threads:
        for folder in folders:
            secrets = set(threads.map(link_secret, [folder] * 4))
            assert len(secrets) == 1 and len(secrets.pop()) == 32
            assert [each.name for each in folder.iterdir()] == ["link-secret"]
