"""What a hostile program tries. Each test first sees that the program ran at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from backend.config.settings import Settings
from backend.sandbox import ExecutionRequest, Executor, open_executor
from tests.sandbox.conftest import MARK, MARKER, Run, refused

pytestmark = pytest.mark.sandbox


async def test_programs_are_nobody_without_capabilities(run: Run) -> None:
    code = """
import os
print(os.getresuid(), os.getresgid(), os.getgroups())
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(*(status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")))
print(status["NoNewPrivs"], status["Seccomp"])
"""
    lines = (await run(code)).stdout.splitlines()
    assert lines[0].startswith("(65534, 65534, 65534) (65534, 65534, 65534)")
    assert set(lines[1].split()) == {"0" * 16}
    assert lines[2] == "1 2"


async def test_the_kernel_counts_programs_as_nobody_outside_too(run: Run, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root has a uid to give up")
    result = await run("open('/proc/sys/kernel/hostname', 'w')")
    assert "PermissionError" in result.stderr or "Read-only" in result.stderr


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/root/.bashrc", "/home", "/proc/kcore", "/sys", "/var/log", "/dev/vda"]
)
async def test_host_files_are_not_there(run: Run, path: str) -> None:
    refused(await run(MARK + f"print(open({path!r}).read(9))"), "Error")


async def test_a_secret_beside_the_execution_folder_cannot_be_read(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text("secret-canary")
    canary.chmod(0o644)
    attempts = [str(canary), f"/proc/1/root{canary}", f"/proc/self/root{canary}", f"../../{canary}"]
    for path in attempts:
        refused(await run(MARK + f"print(open({path!r}).read())"), "FileNotFound", "Permission")
    result = await run(MARK + f"import os; os.system('cat {canary} /proc/*/root{canary}')")
    assert MARKER in result.stdout
    assert "secret-canary" not in result.stdout


@pytest.mark.parametrize(
    "path", ["/x", "/usr/x", "/etc/x", "/opt/python-coder/x", "/dev/x", "/proc/x", "/mnt/x"]
)
async def test_nothing_but_the_private_folders_can_be_written(run: Run, path: str) -> None:
    refused(await run(MARK + f"open({path!r}, 'w')"), "Error")


async def test_packages_and_interpreter_cannot_be_changed(run: Run) -> None:
    code = MARK + "import json, os\nos.chmod(json.__file__, 0o777)"
    refused(await run(code), "Read-only", "not permitted")


async def test_inputs_can_be_read_but_not_changed(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("original")
    files = {"in.txt": source}
    assert (await run("print(open('in.txt').read())", files=files)).stdout == "original\n"
    for attempt in (
        "open('in.txt', 'w')",
        "import os; os.remove('in.txt')",
        "import os; os.chmod('in.txt', 0o777)",
        "import os; os.rename('in.txt', 'out.txt')",
        "import os; os.replace('new', 'in.txt')",
    ):
        refused(await run(MARK + "open('new', 'w')\n" + attempt, files=files), "Error")
    assert source.read_text() == "original"


async def test_the_environment_holds_no_secret_of_the_server(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret-canary")
    code = (
        MARK
        + """
import glob
print(dict(os.environ))
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
    try:
        print(path, open(path, "rb").read())
    except OSError as error:
        print(path, error)
"""
    )
    result = await run(code)
    assert "/proc/1/environ" in result.stdout
    assert "secret-canary" not in result.stdout
    assert "SECRET_TOKEN" not in result.stdout


async def test_no_other_process_is_seen(run: Run) -> None:
    result = await run("import os; print(sorted(p for p in os.listdir('/proc') if p.isdigit()))")
    assert result.stdout == "['1', '2']\n"


async def test_no_descriptor_is_inherited(run: Run) -> None:
    code = "import os; print([os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in '0123'])"
    result = await run(code)
    # Nothing to read from, two streams, and the line to the keeper.
    assert result.stdout == "['/dev/null', 'pipe', 'pipe', 'socket']\n"
    refused(await run(MARK + "os.read(4, 1)"), "Bad file descriptor")


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param("socket.socket(socket.AF_INET)", id="inet"),
        pytest.param("socket.socket(socket.AF_INET6)", id="inet6"),
        pytest.param("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", id="udp"),
        pytest.param("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", id="netlink"),
        pytest.param("socket.socket(38, socket.SOCK_SEQPACKET)", id="kernel crypto"),
        pytest.param("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", id="packet"),
        pytest.param("socket.socket(40, socket.SOCK_STREAM)", id="vsock"),
    ],
)
async def test_only_unix_sockets_can_be_made(run: Run, attempt: str) -> None:
    refused(await run(MARK + "import socket\n" + attempt), "PermissionError: [Errno 1]")
    assert (await run("import socket; socket.socketpair(); socket.socket(socket.AF_UNIX)")).success


async def test_names_and_addresses_are_not_reached(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        code = MARK + f"import urllib.request as u\nu.urlopen('http://127.0.0.1:{port}', timeout=3)"
        refused(await run(code), "URLError")
        with pytest.raises(BlockingIOError):
            server.accept()
    code = MARK + "import socket\nsocket.getaddrinfo('example.org', 80)"
    refused(await run(code), "gaierror")


async def test_an_abstract_socket_of_the_host_is_not_reached(run: Run) -> None:
    name = f"\0canary-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        code = MARK + f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
        refused(await run(code), "ConnectionRefused", "PermissionError")


async def test_with_the_network_allowed_an_abstract_socket_still_is_not(
    settings: Settings, executor: Executor
) -> None:
    assert executor.isolation
    if not any(wall in executor.isolation.walls for wall in ("landlock abi 6", "landlock abi 7")):
        pytest.skip("needs a kernel with Landlock ABI 6 (Linux 6.12)")
    name = f"\0canary-net-{os.getpid()}"
    lenient = settings.model_copy(update={"allow_network": True})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        async with open_executor("local", lenient) as opened:
            code = MARK + f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
            refused(await opened.run(ExecutionRequest(code=code)), "PermissionError")


_SYSCALL = (
    MARK
    + """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    result = libc.syscall(*args)
    sys.exit(f"errno {ctypes.get_errno()}" if result < 0 else 0)
"""
)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
@pytest.mark.parametrize(
    ("call", "number"),
    [
        pytest.param("272, 0x10000000", 1, id="unshare"),
        pytest.param("56, 0x10000011, 0, 0, 0, 0", 1, id="clone into a user namespace"),
        pytest.param("435, 0, 0", 38, id="clone3"),
        pytest.param("308, 0, 0", 1, id="setns"),
        pytest.param("101, 0, 0, 0, 0", 1, id="ptrace"),
        pytest.param("310, 1, 0, 0, 0, 0, 0", 1, id="process_vm_readv"),
        pytest.param("438, 0, 0, 0", 1, id="pidfd_getfd"),
        pytest.param("165, 0, 0, 0, 0, 0", 1, id="mount"),
        pytest.param("428, 0, 0, 0", 1, id="open_tree"),
        pytest.param("161, 0", 1, id="chroot"),
        pytest.param("321, 0, 0, 0", 1, id="bpf"),
        pytest.param("298, 0, 0, 0, 0, 0", 1, id="perf_event_open"),
        pytest.param("323, 0", 1, id="userfaultfd"),
        pytest.param("425, 1, 0", 1, id="io_uring_setup"),
        pytest.param("250, 0, 0, 0, 0", 1, id="keyctl"),
        pytest.param("317, 0, 0, 0", 1, id="seccomp"),
        pytest.param("319, 0, 0", 38, id="memfd_create"),
        pytest.param("29, 0, 4096, 0o1600", 1, id="shmget"),
        pytest.param("302, 1, 7, 0, 0", 1, id="prlimit64 of another"),
        pytest.param("16, 0, 0x5412, 0", 1, id="ioctl TIOCSTI"),
        pytest.param("16, 0, 0x541C, 0", 1, id="ioctl TIOCLINUX"),
        pytest.param("16, 0, 0x100005412, 0", 1, id="ioctl TIOCSTI with high bits"),
        pytest.param("246, 0, 0, 0, 0", 1, id="kexec_load"),
        pytest.param("175, 0, 0, 0", 1, id="init_module"),
        pytest.param("999, 0", 38, id="a call of the future"),
    ],
)
async def test_dangerous_calls_are_refused(run: Run, call: str, number: int) -> None:
    result = await run(_SYSCALL + f"call({call.split(', ')[0]}, {', '.join(call.split(', ')[1:])})")
    refused(result, f"errno {number}\n")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
async def test_the_other_abi_of_the_processor_is_deadly(run: Run) -> None:
    result = await run(_SYSCALL + "call(0x40000000 + 39)")
    assert result.stdout.startswith(MARKER)
    assert (result.returncode, result.stopped_by) == (-31, "killed")


async def test_every_call_number_leaves_the_sandbox_standing(run: Run) -> None:
    code = (
        MARK
        + """
import ctypes, signal
libc = ctypes.CDLL(None, use_errno=True)
leave_out = {0, 15, 23, 34, 35, 60, 61, 231, 219, 127, 128, 130, 230, 232, 247, 270, 271, 281, 7}
for number in range(600):
    if number in leave_out:
        continue
    child = os.fork()
    if child == 0:
        signal.alarm(1)
        libc.syscall(number, -1, -1, -1, -1, -1, -1)
        os._exit(0)
    os.waitpid(child, 0)
print("survived")
"""
    )
    result = await run(code)
    assert result.stdout.startswith(MARKER)
    assert result.stopped_by in (None, "killed")
    assert (await run("print(1)")).success


async def test_the_keeper_cannot_be_disturbed(run: Run) -> None:
    code = (
        MARK
        + """
import signal
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
for path in ("mem", "environ", "fd/3", "root", "cwd"):
    try:
        open(f"/proc/1/{path}", "rb").read(1)
        print("opened", path)
    except OSError:
        pass
print("alive")
"""
    )
    result = await run(code)
    assert result.success
    assert result.stdout == f"{MARKER}\nalive\n"


async def test_frames_cannot_be_forged(run: Run) -> None:
    code = (
        MARK
        + """
import sys
frames = b"\\0" + b"".join(
    kind + len(payload).to_bytes(4, "little") + payload
    for kind, payload in [(b"s", b"all walls"), (b"e", b"0 - 0 0"), (b"v", b"'mine'"), (b"d", b"")]
)
for fd in range(3, 64):
    try:
        os.write(fd, frames * 100)
    except OSError:
        pass
os.write(2, frames)
os._exit(5)
"""
    )
    result = await run(code)
    assert result.stdout.startswith(MARKER)
    assert (result.success, result.returncode) == (False, 5)
    assert result.isolation is not None
    assert "all walls" not in result.isolation.walls


async def test_a_claim_of_gigabytes_stops_nobody(run: Run) -> None:
    code = (
        MARK
        + """
block = b"x" * (1 << 20)
for _ in range(300):
    os.write(3, block)
"""
    )
    result = await run(code)
    assert (result.success, result.stopped_by) == (True, None)
    assert len(result.value or "") <= 64 * 1024
