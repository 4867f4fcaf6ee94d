from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from backend.api.server import require_keys_beyond_loopback, serve
from backend.config.settings import load_settings
from backend.errors import SettingsError
from tests.api.test_presence import busy, gone, until
from tests.scripts import write_script

ENDLESS = b'{"code": "while True: pass", "timeout_s": 300}'
START = (
    "import sys\n"
    "from backend.api.server import serve\n"
    "from backend.config.settings import load_settings\n"
    "serve(load_settings(), announce=lambda url, _: print(url, file=sys.stderr, flush=True))\n"
)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
async def test_without_keys_it_listens_for_this_machine_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"PYTHON_CODER_HOST.*python-coder keys create"):
        await require_keys_beyond_loopback(load_settings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.9"])
async def test_loopback_has_many_names(host: str) -> None:
    await require_keys_beyond_loopback(load_settings(host=host))


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"PYTHON_CODER_PORT is {port}"):
            serve(load_settings(port=port), announce=print)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_a_stopped_server_takes_everything_with_it(tmp_path: Path, number: int) -> None:
    script = write_script(tmp_path / "script.jsonl", {"stage": "chat", "reply": "ok"})
    environment = os.environ | {
        "PYTHON_CODER_MODEL": f"scripted:{script}",
        "PYTHON_CODER_PORT": "0",
    }
    server = subprocess.Popen(
        [sys.executable, "-c", START], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    try:
        parts = urlsplit(server.stderr.readline().strip())
        address = (parts.hostname or "", parts.port or 0)
        with socket.create_connection(address) as connection:
            connection.sendall(
                b"POST /v1/execute HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: " + str(len(ENDLESS)).encode() + b"\r\n\r\n" + ENDLESS
            )
            running = until(lambda: busy(psutil.Process(server.pid)))
            server.send_signal(number)
            _, errors = server.communicate(timeout=30)
        assert errors == ""
        assert server.returncode == 0
        until(lambda: gone(running))
    finally:
        server.kill()
        server.wait()
