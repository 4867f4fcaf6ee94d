"""A test session: a program is run once, as it always is, then pytest functions are run on it.

The program is the module ``solution``. Tests find its public names defined, whether they import them
or not. Nothing of it is believed outside: whoever wrote the program could say that its tests passed.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any

from .places import temporary, workspace

MOST_TESTS = 200
_MESSAGE_CHARS = 800
_NAME_CHARS = 200
_MOST_NAMES = 500
_NAME = "solution"


def run(task: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Run the program and the tests: ``{"program_error", "names", "cases", "left_out"}``.

    Args:
        task: ``code``, the program; ``tests``, texts of test modules; ``seconds`` that one test may
            take.
        inputs: variables that the program finds defined.
    """
    with _without_workspace():
        import pytest
    sys.dont_write_bytecode = True
    folder = tempfile.mkdtemp(dir=temporary())
    solution = ModuleType(_NAME)
    solution.__dict__.update(inputs, __name__="__main__", __file__=f"{folder}/{_NAME}.py")
    error = _run_program(solution, task["code"])
    names = [name for name in solution.__dict__ if not name.startswith("__")][:_MOST_NAMES]
    if error is not None:
        return {"program_error": error, "names": names, "cases": [], "left_out": 0}
    solution.__dict__["__name__"] = _NAME
    paths = []
    for number, text in enumerate(task["tests"]):
        _find_solution_as(text, solution)
        paths.append(_write(f"{folder}/test_{number}.py", text))
    settings = _write(f"{folder}/pytest.ini", "[pytest]\n")
    recorder = _Recorder(solution, paths, task["seconds"])
    options = ["-q", "-c", settings, "--rootdir", folder, "-p", "no:cacheprovider", "-W", "ignore"]
    options += [
        "--continue-on-collection-errors",
        "--capture=sys",
        "--color=no",
        "--no-header",
        "--no-summary",
    ]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with recorder.hooked():
        pytest.main([*options, *paths], plugins=[recorder])
    return {
        "program_error": None,
        "names": names,
        "cases": recorder.cases,
        "left_out": recorder.left_out,
    }


@contextmanager
def _without_workspace() -> Iterator[None]:
    """An input named ``pytest.py`` is not what is meant."""
    before = list(sys.path)
    sys.path[:] = [place for place in sys.path if place not in ("", workspace())]
    try:
        yield
    finally:
        sys.path[:] = before


def _write(path: str, text: str) -> str:
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(text)
    return path


def _run_program(solution: ModuleType, text: str) -> dict[str, Any] | None:
    """Run it as what it believes to be, ``__main__``. Returns how it failed, if it did."""
    path = str(solution.__file__)
    _write(path, text)
    sys.modules[_NAME] = sys.modules["__main__"] = solution
    try:
        exec(compile(text, path, "exec", dont_inherit=True), solution.__dict__)
    except SystemExit as leaving:
        if leaving.code in (None, 0):
            return None
        return {"type": "SystemExit", "message": f"it ended with status {leaving.code!r:.100}"}
    except BaseException as error:
        return {"type": type(error).__name__, "message": _message(error)}
    return None


def _find_solution_as(text: str, solution: ModuleType) -> None:
    """Let the program be found under the name that a test has made up for it."""
    import importlib.util

    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            wanted = [alias.name for alias in node.names]
            fits = all(name == "*" or hasattr(solution, name) for name in wanted)
            modules = [node.module] if fits else []
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name != _NAME]
        else:
            continue
        for module in modules:
            is_new = "." not in module and module not in sys.modules
            if is_new and importlib.util.find_spec(module) is None:
                sys.modules[module] = solution


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        text = ""
    return text.encode("utf-8", "backslashreplace").decode()[:_MESSAGE_CHARS]


class _Recorder:
    """Plug-in that limits each test and keeps what became of it."""

    def __init__(self, solution: ModuleType, paths: Sequence[str], seconds: float) -> None:
        self._solution = solution
        self._paths = list(paths)
        self._seconds = seconds
        self._broken: dict[str, dict[str, Any]] = {}
        """Name of a test module -> why it could not be imported."""
        self.cases: list[dict[str, Any]] = []
        self.left_out = 0

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Test modules find the program's public names defined."""
        from _pytest.assertion.rewrite import AssertionRewritingHook

        load: Any = AssertionRewritingHook.exec_module
        public = {
            name: value
            for name, value in self._solution.__dict__.items()
            if not name.startswith(("_", "test", "Test"))
        }

        def exec_module(hook: Any, module: ModuleType) -> None:
            if module.__file__ in self._paths:
                module.__dict__.update(public)
            try:
                load(hook, module)
            except BaseException as error:  # pytest keeps its text only
                name = str(module.__file__).rpartition("/")[2]
                self._broken[name] = self._told(error, error.__traceback__)
                raise

        patched: Any = AssertionRewritingHook
        patched.exec_module = exec_module
        try:
            yield
        finally:
            patched.exec_module = load

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep to the number of tests that there may be."""
        self.left_out = len(items[MOST_TESTS:])
        del items[MOST_TESTS:]

    def pytest_collectreport(self, report: Any) -> None:
        """A module that could not be imported has no tests: that is told as one of its own."""
        if report.failed:
            text = str(getattr(report, "longreprtext", ""))[-_MESSAGE_CHARS:]
            told = {"type": "", "message": text, "line": None, "place": "test"}
            module = report.nodeid.partition("::")[0].rpartition("/")[2]
            self._keep(report.nodeid, "", "error", "collect", told | self._broken.get(module, {}))

    def pytest_runtest_call(self, item: Any) -> None:
        """Let no test take longer than it may."""
        signal.signal(signal.SIGALRM, self._stop)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Its time does not count any more."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop(self, number: int, frame: Any) -> None:
        raise TimeoutError(f"the test took more than {self._seconds:g} seconds")

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        """Keep what became of one test, or of what has to be there for it."""
        if call.when == "call" or call.excinfo is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            name = item.nodeid.partition("::")[2]
            function = getattr(item, "originalname", None) or name
            outcome, told = self._outcome(item, call)
            self._keep(item.nodeid, name, outcome, call.when, told, function)

    def _outcome(self, item: Any, call: Any) -> tuple[str, dict[str, Any]]:
        import pytest

        if call.excinfo is None:
            return "passed", {"type": "", "message": "", "line": None, "place": "test"}
        told = self._told(call.excinfo.value, call.excinfo.tb)
        if isinstance(call.excinfo.value, pytest.skip.Exception):
            # Skipped by the program, it has not passed.
            return "failed" if told["place"] == "solution" else "skipped", told
        if item.get_closest_marker("xfail") is not None:
            return "skipped", told
        return "failed" if call.when == "call" else "error", told

    def _told(self, error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
        line, place, through = None, "library", False
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            if path in self._paths:
                line, place = trace.tb_lineno, "test"
            elif path == self._solution.__file__:
                place, through = "solution", True
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename in self._paths:
            line, place = error.lineno, "test"
        return {
            "type": type(error).__name__[:_NAME_CHARS],
            "message": _message(error),
            "line": line,
            "place": place,
            "through_program": through,
        }

    def _keep(
        self,
        node: str,
        name: str,
        outcome: str,
        phase: str,
        told: Mapping[str, Any],
        function: str = "",
    ) -> None:
        module = node.partition("::")[0].rpartition("/")[2]
        number = module.removeprefix("test_").removesuffix(".py")
        self.cases.append(
            {
                "module": int(number) if number.isdecimal() else 0,
                "name": name[:_NAME_CHARS],
                "function": function[:_NAME_CHARS],
                "outcome": outcome,
                "phase": phase,
                **told,
            }
        )
