"""Packages that programs lack: installed by a real pip from an index of the test's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backend.config.settings import Settings, load_settings
from backend.errors import SettingsError
from backend.sandbox import ExecutionRequest, Executor, open_executor
from backend.sandbox.doctor import diagnose
from backend.sandbox.packages import Installed, PackageInstaller, missing_module
from backend.sandbox.packages.names import distributions_for, imported_by
from backend.sandbox.packages.overlay import Overlay
from backend.sandbox.walls.interpreter import find_interpreter
from backend.sandbox.walls.landlocked import landlock_abi
from tests.sandbox.package_index import Index, only_index

LISTED = "tinypkg, PyYAML_Like>=1,<2, only-source, with-pth, needy, deep, addressed, shadow, big"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with only_index(tmp_path / "index", monkeypatch) as index:
        yield index


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        execution_dir=tmp_path / "execution",
        data_dir=tmp_path / "data",
        preimport="none",
        pool_size=1,
        allow_install=True,
        install_list=LISTED,
    )


@pytest.fixture
def installer(settings: Settings) -> PackageInstaller:
    return PackageInstaller.opened(settings, find_interpreter(None))


@pytest.fixture
async def executor(settings: Settings) -> AsyncIterator[Executor]:
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    async with open_executor("local", settings) as opened:
        yield opened


async def printed(executor: Executor, code: str, **request: object) -> str:
    result = await executor.run(ExecutionRequest(code=code, **request))  # type: ignore[arg-type]
    return result.stdout if result.success else result.stderr


def installer_of(executor: Executor) -> PackageInstaller:
    assert executor.packages is not None
    return executor.packages


def left_over(installer: PackageInstaller) -> list[str]:
    """What is beside the folder that is shown and the lock."""
    assert installer.folder is not None
    return [
        path.name for path in installer.folder.parent.iterdir() if path.name.startswith("staging")
    ]


# --- names


def test_a_module_is_known_by_the_name_of_what_brings_it() -> None:
    assert distributions_for("PIL") == ("pillow",)
    assert distributions_for("cv2")[0] == "opencv-python-headless"
    assert distributions_for("fitz") == ("PyMuPDF",)
    assert distributions_for("some_thing") == ("some-thing",)


def test_what_a_program_can_do_without_is_not_missing() -> None:
    code = """
import os, json, numpy.linalg, tinypkg.parts
from . import beside
from other.thing import x
try:
    import optional
except ImportError:
    import instead
try:
    import needed
except ValueError:
    pass
def later():
    import in_function
"""
    wanted = {"numpy", "tinypkg", "other", "instead", "needed", "in_function"}
    assert imported_by(code) == wanted
    assert imported_by("import (") == frozenset()


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("No module named 'PIL.Image'", "PIL"),
        ("Traceback ...\nModuleNotFoundError: No module named 'cv2'", "cv2"),
        ("No module named tinypkg", "tinypkg"),
        ("name 'x' is not defined", None),
    ],
)
def test_the_missing_module_is_read_out_of_what_python_says(message: str, name: str | None) -> None:
    assert missing_module(message) == name


@pytest.mark.parametrize(
    "entry",
    [
        "pandas[excel]",
        "foo @ https://example.org/foo.whl",
        "https://example.org/foo.whl",
        "../foo",
        "./foo.whl",
        "-r list.txt",
        "--index-url=https://example.org",
        "foo; python_version > '3'",
        "foo bar",
        ">=1",
        "foo>=1 --hash=sha256:0",
    ],
)
def test_the_list_takes_names_and_versions_only(entry: str) -> None:
    with pytest.raises(SettingsError, match="PYTHON_CODE_INSTALL_LIST"):
        load_settings(install_list=entry)


def test_the_list_names_distributions_as_the_index_does() -> None:
    load_settings(install_list="PyYAML>=6, <7, scikit_learn==1.5.*, a.b~=1.0")
    assert load_settings().install_list == ""
    assert load_settings().allow_install is False


# --- installing


async def test_a_missing_package_is_installed_once_and_programs_that_wait_find_it(
    executor: Executor, index: Index
) -> None:
    installer = installer_of(executor)
    assert "No module named 'tinypkg'" in await printed(executor, "import tinypkg")
    assert installer.missing("import tinypkg, numpy, os") == ("tinypkg",)
    done = await installer.install(["tinypkg"])
    assert (done.names, done.refused, dict(done.distributions)) == (
        ("tinypkg",), {}, {"tinypkg": "1.0"},
    )  # fmt: skip
    assert await printed(executor, "import tinypkg; print(tinypkg.WORD)") == "tiny\n"
    assert "tinypkg" in installer.overlay_names()
    assert installer.missing("import tinypkg") == ()
    again = await installer.install(["tinypkg"])
    assert (again.names, dict(again.distributions)) == (("tinypkg",), {})
    assert index.downloads() == ["tinypkg-1.0-py3-none-any.whl"]
    assert left_over(installer) == []


async def test_a_session_that_has_looked_in_vain_finds_it_later(
    executor: Executor, index: Index
) -> None:
    ask = "try:\n import tinypkg\n print(tinypkg.WORD)\nexcept ImportError:\n print('none')"
    async with await executor.open_session() as session:
        assert (await session.run(ExecutionRequest(code=ask))).stdout == "none\n"
        await installer_of(executor).install(["tinypkg"])
        assert (await session.run(ExecutionRequest(code=ask))).stdout == "tiny\n"
        index.add("needy", {"needy.py": "WORD = 'more'"})
        await installer_of(executor).install(["needy"])
        more = "import needy, tinypkg; print(needy.WORD, tinypkg.WORD)"
        assert (await session.run(ExecutionRequest(code=more))).stdout == "more tiny\n"


async def test_programs_cannot_change_what_is_installed_and_have_no_network(
    executor: Executor, index: Index
) -> None:
    await installer_of(executor).install(["tinypkg"])
    code = f"""
import pathlib, socket, sys, tinypkg
print(sys.path[-1] == str(pathlib.Path(tinypkg.__file__).parents[1]))
for attempt in (
    lambda: pathlib.Path(tinypkg.__file__).write_text("WORD = 'changed'"),
    lambda: (pathlib.Path(sys.path[-1]) / "new.py").write_text("x = 1"),
    lambda: pathlib.Path(sys.path[-1]).unlink(),
    lambda: socket.create_connection(("127.0.0.1", {index.url.rpartition(":")[2]}), 2),
):
    try:
        print("could", attempt())
    except OSError:
        print("could not")
"""
    assert await printed(executor, code) == "True\n" + 4 * "could not\n"
    assert await printed(executor, "import tinypkg; print(tinypkg.WORD)") == "tiny\n"


async def test_a_package_comes_with_what_it_needs_and_nothing_of_the_interpreters_is_replaced(
    executor: Executor, index: Index
) -> None:
    index.add("numpy", {"numpy/__init__.py": "WORD = 'shadow'"}, version="99")
    index.add(
        "needy",
        {"needy.py": "import helper, numpy\nWORD = helper.WORD + ' ' + str(numpy.ones(2).sum())"},
        needs=(
            "helper[more]>=1,<3",
            "numpy>=1",
            "nothing; python_version < '3'",
            "never; extra == 'all'",
        ),
    )
    index.add("helper", {"helper.py": "from extra_one import WORD"}, version="2.0",
              needs=("extra-one; extra == 'more'", "tinypkg!=3"))  # fmt: skip
    index.add("helper", {"helper.py": "WORD = 'too new'"}, version="3.0")
    index.add("extra-one", {"extra_one.py": "WORD = 'helped'"})
    done = await installer_of(executor).install(["needy"])
    assert dict(done.distributions) == {
        "needy": "1.0", "helper": "2.0", "extra-one": "1.0", "tinypkg": "1.0",
    }  # fmt: skip
    assert await printed(executor, "import needy; print(needy.WORD)") == "helped 2.0\n"
    assert not any(name.startswith("numpy") for name in index.downloads())


async def test_a_later_bound_makes_it_choose_again(
    installer: PackageInstaller, index: Index
) -> None:
    index.add("needy", {"needy.py": ""}, needs=("helper", "tinypkg"))
    index.add("helper", {"helper.py": ""}, version="2.0")
    index.add("helper", {"helper.py": ""}, version="1.5")
    index.add("tinypkg", {"tinypkg.py": ""}, version="2.0", needs=("deep",))
    index.add("deep", {"deep.py": ""}, needs=("helper<2",))
    done = await installer.install(["needy"])
    assert done.refused == {}
    assert done.distributions["helper"] == "1.5"


async def test_what_does_not_go_with_the_interpreters_packages_is_refused(
    installer: PackageInstaller, index: Index
) -> None:
    index.add("needy", {"needy.py": ""}, needs=("numpy<1",))
    done = await installer.install(["needy"])
    assert done.names == ()
    assert "needs numpy<1, and programs have numpy" in done.refused["needy"]
    assert installer.overlay_names() == frozenset()


async def test_what_is_not_listed_is_refused_with_the_setting_to_change(
    installer: PackageInstaller, index: Index
) -> None:
    done = await installer.install(["fitz", "tinypkg", "../tinypkg", "-r", "os", "tinypkg[x]"])
    assert done.names == ("tinypkg",)
    assert "add PyMuPDF to PYTHON_CODE_INSTALL_LIST" in done.refused["fitz"]
    assert "belongs to Python itself" in done.refused["os"]
    for name in ("../tinypkg", "-r", "tinypkg[x]"):
        assert any(
            "no name of a module" in why
            for each, why in done.refused.items()
            if each in name or name in each
        )
    assert {path.split("/")[1] for path in index.asked} == {"tinypkg"}


async def test_nothing_is_installed_where_that_is_off(settings: Settings, index: Index) -> None:
    off = settings.model_copy(update={"allow_install": False})
    installer = PackageInstaller.opened(off, find_interpreter(None))
    done = await installer.install(["tinypkg"])
    assert "PYTHON_CODE_ALLOW_INSTALL=true" in done.refused["tinypkg"]
    assert (index.asked, installer.folder) == ([], None)
    assert installer.missing("import tinypkg, numpy") == ("tinypkg",)
    assert not (settings.data_dir / "packages").exists()


async def test_code_of_a_package_never_runs_here(
    installer: PackageInstaller, index: Index, tmp_path: Path
) -> None:
    proof = tmp_path / "it ran"
    harm = f"open({str(proof)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n"
    source = index.add_source("only-source", harm)
    index.add("addressed", {"addressed.py": ""}, needs=(f"x @ {source.as_uri()}",))
    index.add(
        "with-pth",
        {
            "with_pth.py": f"open({str(proof)!r}, 'w')",
            "with_pth.pth": f"import os; open({str(proof)!r}, 'w')",
            "sitecustomize.py": f"open({str(proof)!r}, 'w')",
            "bin/pip": "#!/bin/sh\n",
            "with_pth-1.0.data/scripts/pip": "#!python\n",
            "with_pth-1.0.dist-info/entry_points.txt": "[console_scripts]\ngo = with_pth:main\n",
        },
    )
    done = await installer.install(["only_source", "addressed", "with_pth"])
    assert done.names == ("with_pth",)
    assert "no wheel of it" in done.refused["only_source"]
    assert "from an address of its own" in done.refused["addressed"]
    assert not proof.exists()
    assert installer.folder is not None
    shown = sorted(path.name for path in (installer.folder / "current").iterdir())
    assert shown == ["__pycache__", "with_pth-1.0.dist-info", "with_pth.py"]
    assert not any(path.is_symlink() for path in (installer.folder / "current").rglob("*"))


@pytest.mark.parametrize(
    "entry", ["../outside.py", "../../outside.py", "/outside.py", "deep/../../outside.py"]
)
async def test_a_package_puts_nothing_beside_its_folder(
    installer: PackageInstaller, index: Index, tmp_path: Path, entry: str
) -> None:
    index.add("deep", {"deep.py": "", entry: "WORD = 'outside'"})
    await installer.install(["deep"])
    assert found_outside(tmp_path) == []
    assert left_over(installer) == []


@pytest.mark.parametrize(
    "need",
    [
        "helper===1 @ http://127.0.0.1:1/x.tar.gz",
        "helper===../../x.tar.gz",
        "not a requirement !",
        "../helper",
        "-r list.txt",
    ],
)
async def test_what_a_package_says_it_needs_is_taken_for_names_and_versions_only(
    installer: PackageInstaller, index: Index, need: str
) -> None:
    index.add("helper", {"helper.py": ""})
    index.add("needy", {"needy.py": ""}, needs=(need,))
    done = await installer.install(["needy"])
    assert list(done.refused) == ["needy"]
    assert {path.split("/")[1] for path in index.asked} == {"needy"}


async def test_what_is_left_of_a_package_stops_no_other(
    installer: PackageInstaller, index: Index
) -> None:
    assert installer.folder is not None
    for name in ("gone-1.0.dist-info", "~ld-2.0.dist-info"):
        (installer.folder / "current" / name).mkdir()
    (installer.folder / "current" / "~ld-2.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe\x00")
    assert (await installer.install(["tinypkg"])).names == ("tinypkg",)


async def test_the_zygote_imports_nothing_that_was_installed(
    settings: Settings, index: Index
) -> None:
    settings = settings.model_copy(update={"preimport": "tinypkg"})
    assert (
        await PackageInstaller.opened(settings, find_interpreter(None)).install(["tinypkg"])
    ).names
    code = "import sys; print('tinypkg' in sys.modules); import tinypkg; print(tinypkg.WORD)"
    async with open_executor("local", settings) as executor:
        assert await printed(executor, code) == "False\ntiny\n"


async def test_what_two_packages_would_both_have_stays_the_firsts(
    installer: PackageInstaller, index: Index
) -> None:
    assert (await installer.install(["tinypkg"])).names
    index.add("shadow", {"tinypkg/__init__.py": "WORD = 'other'", "shadow.py": ""})
    done = await installer.install(["shadow"])
    assert "would change __init__.py" in done.refused["shadow"]
    assert installer.overlay_names() == {"tinypkg"}


async def test_a_distribution_without_the_module_is_not_kept(
    installer: PackageInstaller, index: Index
) -> None:
    index.add("deep", {"other.py": ""})
    done = await installer.install(["deep"])
    assert "has no module 'deep'" in done.refused["deep"]
    assert installer.overlay_names() == frozenset()


async def test_versions_are_held_to_the_list(installer: PackageInstaller, index: Index) -> None:
    index.add("pyyaml-like", {"PyYAML_Like.py": ""}, version="2.0")
    assert "no wheel of it" in (await installer.install(["PyYAML_Like"])).refused["PyYAML_Like"]
    index.add("pyyaml-like", {"PyYAML_Like.py": ""}, version="1.5")
    done = await installer.install(["PyYAML_Like"])
    assert dict(done.distributions) == {"pyyaml-like": "1.5"}


async def test_what_is_too_large_is_stopped(settings: Settings, index: Index) -> None:
    interpreter = find_interpreter(None)
    overlay = Overlay.opened(settings.data_dir, interpreter)
    small = PackageInstaller(interpreter, overlay, {"big": "", "tinypkg": ""}, max_bytes=200_000)
    index.add("big", {"big.py": "x = 1\n" * 100_000})
    done = await small.install(["big", "tinypkg"])
    assert done.names == ("tinypkg",)
    assert "big" in done.refused
    assert small.overlay_names() == {"tinypkg"}
    assert left_over(small) == []


async def test_an_index_that_cannot_be_reached_is_told_without_its_address(
    installer: PackageInstaller, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    done = await installer.install(["tinypkg"])
    assert "The package index cannot be reached" in done.refused["tinypkg"]
    assert "127.0.0.1" not in done.refused["tinypkg"]


async def test_time_is_limited(settings: Settings, index: Index) -> None:
    interpreter = find_interpreter(None)
    overlay = Overlay.opened(settings.data_dir, interpreter)
    hasty = PackageInstaller(interpreter, overlay, {"tinypkg": ""}, timeout_s=0.5)
    index.may_answer.clear()
    done = await hasty.install(["tinypkg"])
    assert "within 0.5 seconds" in done.refused["tinypkg"]
    assert (left_over(hasty), pips()) == ([], [])


async def test_cancelling_ends_pip_and_leaves_nothing(
    installer: PackageInstaller, index: Index
) -> None:
    index.may_answer.clear()
    work = asyncio.create_task(installer.install(["tinypkg"]))
    await until_asked(index)
    assert pips()
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    assert work.cancelled()
    assert (left_over(installer), pips()) == ([], [])
    index.may_answer.set()
    assert (await installer.install(["tinypkg"])).names == ("tinypkg",)


async def test_who_asks_at_the_same_time_waits_for_the_one_installation(
    settings: Settings, index: Index
) -> None:
    interpreter = find_interpreter(None)
    installers = [PackageInstaller.opened(settings, interpreter) for _ in range(4)]
    done: list[Installed] = await asyncio.gather(
        *(each.install(["tinypkg"]) for each in installers)
    )
    assert [each.names for each in done] == [("tinypkg",)] * 4
    assert len([each for each in done if each.distributions]) == 1
    assert len(index.downloads()) == 1


SERVER = """
import asyncio, sys
from pathlib import Path
from backend.config.settings import load_settings
from backend.sandbox.packages import PackageInstaller
from backend.sandbox.walls.interpreter import find_interpreter

settings = load_settings(allow_install=True, install_list="tinypkg", data_dir=Path(sys.argv[1]))
asyncio.run(PackageInstaller.opened(settings, find_interpreter(None)).install(["tinypkg"]))
"""


async def test_a_server_killed_meanwhile_leaves_no_pip_and_the_next_one_installs(
    settings: Settings, index: Index
) -> None:
    index.may_answer.clear()
    root = Path(__file__).parents[2]
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVER,
        str(settings.data_dir),
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    await until_asked(index)
    (orphan,) = pips()
    server.send_signal(signal.SIGKILL)
    await server.wait()
    async with asyncio.timeout(30):
        while orphan in pips():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    installer = PackageInstaller.opened(settings, find_interpreter(None))
    assert left_over(installer)
    assert installer.overlay_names() == frozenset()
    index.may_answer.set()
    assert (await installer.install(["tinypkg"])).names == ("tinypkg",)
    assert left_over(installer) == []


async def test_pip_is_given_nothing_of_ours(
    installer: PackageInstaller, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    index.may_answer.clear()
    work = asyncio.create_task(installer.install(["tinypkg"]))
    await until_asked(index)
    (pip,) = pips()
    given = variables_of(pip)
    index.may_answer.set()
    await work
    names = {variable.partition("=")[0] for variable in given}
    assert "PIP_INDEX_URL" in names
    assert not names & {"OPENAI_API_KEY", "PYTHONPATH", "PYTHON_CODER_DATA_DIR"}


@pytest.mark.skipif(landlock_abi() < 6, reason="needs a kernel >= 6.12 with Landlock")
async def test_programs_without_namespaces_find_it_and_cannot_change_it(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, system_python: str
) -> None:
    # Programs are nobody there, and get into no closed folder.
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
    empty = tmp_path / "no bubblewrap"
    empty.mkdir()
    settings = load_settings(
        execution_dir=tmp_path / "execution",
        data_dir=tmp_path / "data",
        preimport="none",
        pool_size=1,
        min_tier="C",
        allow_install=True,
        install_list="tinypkg",
        interpreter=system_python,
    )
    monkeypatch.setenv("PATH", str(empty))
    async with open_executor("local", settings) as executor:
        assert executor.isolation.tier == "C"
        assert "No module named 'tinypkg'" in await printed(executor, "import tinypkg")
        assert (await installer_of(executor).install(["tinypkg"])).names == ("tinypkg",)
        code = """
import tinypkg
print(tinypkg.WORD)
try:
    open(tinypkg.__file__, "w")
except OSError:
    print("could not")
"""
        assert await printed(executor, code) == "tiny\ncould not\n"


@pytest.fixture
def system_python() -> str:
    """One that nobody can reach, as our own may not be."""
    found = shutil.which("python3", path="/usr/local/bin:/usr/bin") or ""
    asked = [found, "-I", "-m", "pip", "--version"]
    if not found or subprocess.run(asked, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a Python of the system's, with pip")
    return found


async def test_the_doctor_tells_what_may_be_and_what_is_installed(
    settings: Settings, installer: PackageInstaller, index: Index
) -> None:
    async def said(**changed: object) -> str:
        findings = await diagnose(settings.model_copy(update=changed), run=False)
        (found,) = [each for each in findings if each.topic == "packages"]
        return f"{found.state}: {found.what} {found.remedy}"

    assert (await said(allow_install=False)).startswith("ok: programs have those of their")
    assert "PYTHON_CODE_INSTALL_LIST" in await said(install_list="")
    assert "installed: none yet" in await said()
    await installer.install(["tinypkg"])
    assert "installed: tinypkg 1.0" in await said()


def found_outside(folder: Path) -> list[Path]:
    return [path for path in (*folder.rglob("outside.py"), Path("/outside.py")) if path.exists()]


async def until_asked(index: Index) -> None:
    """Until pip waits for a wheel."""
    async with asyncio.timeout(30):
        while not index.downloads():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def variables_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/environ").read_text(encoding="utf-8").split("\0")


def pips() -> list[int]:
    """The processes on this machine that install into a folder of this test's."""
    here = os.getcwd()
    found = []
    for each in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            number = int(each.name)
            said = (each / "cmdline").read_bytes()
            if b"--only-binary" in said and here.encode() in said:
                found.append(number)
    return found
