"""Runs code as ``__main__``, as an interpreter would, and says what came of it.

Everything here shares a process with untrusted code. Nothing that is said from here is believed
outside: the limits and the artifacts are the keeper's, and so is the end.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import CodeType, ModuleType
from typing import Any

from . import (
    artifacts,
    display,
    failure,
    figures,
    hooks,
    kernel,
    names,
    outputs,
    source,
    variables,
    wire,
)
from .line import Line
from .places import workspace

_HIDDEN_VALUE = "<value>"
"""Where the last expression's value waits; no program can write such a name."""

_IDLE_EXIT_FUNCTIONS = (
    ("PIL.Image", "core.clear_cache"),
    ("matplotlib._pylab_helpers", "Gcf.destroy_all"),
)
"""They free memory and close windows."""

Tell = Callable[[BaseException, str | None], None]

# The program may put something else in their places.
_pid, _run_code = os.getpid, exec


class Main:
    """The module ``__main__`` and what happens in it."""

    def __init__(self, header: Mapping[str, Any], line: Line) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.enable()
        self._line = line
        self.own_pid = _pid()
        self._name = source.name_for(header["inputs"])
        self._charts_bytes = header["charts_bytes"]
        sys.path[:] = [workspace(), *sys.path]
        sys.argv = [os.path.basename(self._name), *header["argv"]]
        self._module = ModuleType("__main__")
        self._module.__file__ = self._name
        self._module.__dict__["__builtins__"] = sys.modules["builtins"]
        sys.modules["__main__"] = self._module

    @property
    def is_a_fork(self) -> bool:
        """This is a process that the program itself made, on its way out through our frames."""
        return _pid() != self.own_pid

    def run(self, header: Mapping[str, Any]) -> int:
        """Run a whole program. Returns the exit status."""
        status = self.execute(header)
        return self._wind_up(status, header)

    def execute(self, header: Mapping[str, Any], name: str = "") -> int:
        """Run one text, with its variables. Returns the exit status."""
        name = name or self._name
        figures.configure(header["figure_formats"])
        hooks.install(source.hooks(name, header["code"]))
        try:
            self._module.__dict__.update(variables.decode(header["variables"]))
            code = source.compile_program(header["code"], name, _HIDDEN_VALUE)
            _exec(code, self._module)
            if not self.is_a_fork:
                self._claim_value(header["value_bytes"], header["html_bytes"])
        except SystemExit as leaving:
            return _exit_status(leaving.code)
        except variables.VariableError as error:
            print(error, file=sys.stderr)
            return 1
        except BaseException as error:
            _show(error, lambda error, text: self._claim_failure(error, text, name))
            return 1
        return 0

    def hand_out(self) -> None:
        """Save the figures that are open and not saved as they are, and tell what all show.

        Whatever goes wrong is told as the program's. In a process that the program made, nothing is
        done: the figures are its parent's.
        """
        _attempt(self._hand_out)

    def _hand_out(self) -> None:
        if self.is_a_fork:
            return
        figures.save_open()
        charts = figures.charts(self._charts_bytes)
        if charts:
            import json

            self._line.say(wire.CHARTS, json.dumps(charts).encode())

    def _claim_value(self, most: int, most_html: int) -> None:
        """Tell the keeper what the last expression was, as a notebook would show it."""
        value = self._module.__dict__.pop(_HIDDEN_VALUE, None)
        if value is None:
            return
        self._line.say(wire.VALUE, display.as_text(value, most).encode())
        html = display.as_html(value, most_html)
        if html is not None:
            self._line.say(wire.HTML, html.encode())

    def _claim_failure(self, error: BaseException, text: str | None, name: str) -> None:
        """Tell the keeper which exception ends the program, and where; nothing if that fails."""
        if self.is_a_fork:
            return
        # The program may have put anything in the place of what that needs.
        with suppress(BaseException):
            import json

            told = json.dumps(failure.describe(error, text, name), ensure_ascii=False)
            self._line.say(wire.FAILURE, told.encode("utf-8", "backslashreplace"))

    def claim_outputs(self, header: Mapping[str, Any], status: int) -> None:
        """Tell the values and checks that are asked for, if any are and it has ended well."""
        if status or "asked" not in header or self.is_a_fork:
            return
        with suppress(BaseException):
            self._line.say(wire.OUTPUTS, outputs.claim(self._module.__dict__, header["asked"]))

    def claim_names(self, header: Mapping[str, Any]) -> None:
        """Tell which names it leaves behind, if that is asked for, however it has ended."""
        if "describe_names" not in header or self.is_a_fork:
            return
        with suppress(BaseException):
            self._line.say(wire.NAMES, names.claim(self._module.__dict__))

    def _wind_up(self, status: int, header: Mapping[str, Any]) -> int:
        """What an interpreter does at its end, without taking every module apart."""
        _attempt(_wait_for_threads)
        self.claim_outputs(header, status)
        self.claim_names(header)
        for step in (self._hand_out, _call_exit_functions):
            _attempt(step)
        return flush(status)


def finish(line: Line, status: int) -> None:
    """Say that the program is at its end, and whether there may be files."""
    line.say(wire.FINISHED, bytes([status & 0xFF, _may_have_files()]))


def _may_have_files() -> bool:
    try:
        return artifacts.may_be_there(workspace())
    except BaseException:
        return True  # the program has put something else in the place of what that needs


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Whatever a ``Main`` changes around itself is as before, afterwards."""
    path, argv, handler = list(sys.path), list(sys.argv), signal.getsignal(signal.SIGINT)
    main, finders = sys.modules["__main__"], list(sys.meta_path)
    collects = gc.isenabled()
    try:
        yield
    finally:
        sys.path[:], sys.argv, sys.meta_path[:] = path, argv, finders
        sys.modules["__main__"] = main
        signal.signal(signal.SIGINT, handler)
        if not collects:
            gc.disable()


def flush(status: int) -> int:
    """Let everything out that was printed. Returns the status, changed where that failed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception:
            status = status or 120  # as the interpreter itself does
    kernel.flush_c_streams()
    return status


def _attempt(step: Callable[[], None]) -> None:
    try:
        step()
    except SystemExit:
        return
    except BaseException as error:
        _show(error)


def _exec(code: CodeType, module: ModuleType) -> None:
    _run_code(code, module.__dict__)


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return int.__and__(code, 0xFF)  # a subclass may have made something else of &
    sys.stdout.flush()
    print(code, file=sys.stderr)
    return 1


def _show(error: BaseException, tell: Tell = lambda error, text: None) -> None:
    """Print a traceback that begins with the program's own first line.

    Args:
        error: what is shown.
        tell: is told of it, and what its text is, before it is printed; without the text where the
            program has a way of its own to show errors.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__") == __name__:
        trace = trace.tb_next
    if trace is not None and trace.tb_frame.f_globals is source.__dict__:
        trace = None  # the program could not be compiled: none of its lines has run
    error.__traceback__ = trace
    if sys.excepthook is not sys.__excepthook__:
        tell(error, None)
        sys.excepthook(type(error), error, trace)
        return
    import traceback

    # What print_exception does: its text is asked for once, for both.
    shown = traceback.TracebackException(type(error), error, trace, compact=True)
    tell(error, getattr(shown, "_str", None))
    sys.stdout.flush()
    shown.print()


def _wait_for_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is not None and len(threading._active) > 1:
        threading._shutdown()


def forget_idle_exit_functions() -> None:
    """What libraries want to be done at the end that is of no use to a process about to be killed."""
    import atexit

    for module, name in _IDLE_EXIT_FUNCTIONS:
        place: Any = sys.modules.get(module)
        for part in name.split("."):
            place = getattr(place, part, None)
        if place is not None:
            atexit.unregister(place)
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        # Flushed and closed at the end; a program's own handlers will be in the list again.
        logging._handlerList.clear()


def _call_exit_functions() -> None:
    import atexit

    atexit._run_exitfuncs()
