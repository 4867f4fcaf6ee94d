"""Shown figures, and figures left open, become pictures in the working directory.

There is no display here: ``show`` means "hand it out". A shown figure is closed as a window would
be, so that the next plot begins on an empty one. A figure that the program has saved itself, and
not changed since, is not handed out twice. What the figures show is kept as data besides.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

from .places import workspace

_SAVED = "_saved_in_workspace"
_NEEDS_NO_DISPLAY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
_MAX_FIGURES = 50
_MAX_BYTES = 512 * 1024
"""Of all charts together, as JSON text."""


class _Handed:
    """What this process has handed out; its children inherit it as it is."""

    def __init__(self) -> None:
        self.formats: tuple[str, ...] = ("png",)
        self.last_shown: list[Any] = []
        self.charts: dict[str, list[dict[str, Any]]] = {}
        """By the name of the file that shows them."""
        self.is_handing_out = False


_handed = _Handed()


def reset() -> None:
    """Forget everything, as if no figure had been handed out yet."""
    _handed.__init__()  # type: ignore[misc]


def configure(formats: Sequence[str]) -> None:
    """As what figures are handed out from now on: any of ``png`` and ``svg``.

    The first one's file is the one that charts name.
    """
    _handed.formats = tuple(dict.fromkeys(formats))


def charts(most_bytes: int = _MAX_BYTES) -> list[dict[str, Any]]:
    """What the figures saved since the last call show, as JSON values; see ``charts.describe``.

    ``artifact`` names the file in the working directory that a chart is drawn in. A figure that
    was saved twice without a change between is there once, under its last name.

    Args:
        most_bytes: figures beyond so much JSON text are left out.
    """
    saved, _handed.charts = _handed.charts, {}
    if not saved:
        return []
    import json

    found: list[dict[str, Any]] = []
    for name, described in saved.items():
        if not os.path.lexists(f"{workspace()}/{name}"):
            continue  # the program has removed it again
        named = [{"artifact": name, **chart} for chart in described]
        most_bytes -= len(json.dumps(named))
        if most_bytes < 0:
            break
        found += named
    return found


def save_open() -> None:
    """Save every figure that pyplot still holds and that is not saved as it is now."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return
    for manager in helpers.Gcf.get_all_fig_managers():
        _hand_out(manager.canvas.figure)


def _hand_out(figure: Any) -> None:
    if getattr(figure, _SAVED, "") and not figure.stale:
        return
    name = _free_name()
    _handed.is_handing_out = True
    try:
        for kind in _handed.formats:
            _save(figure, f"{workspace()}/{name}.{kind}", kind)
    except Exception as error:
        print(f"A figure could not be saved: {error!r}", file=sys.stderr)
    else:
        if _handed.formats:
            _remember(figure, f"{name}.{_handed.formats[0]}", is_changed=True)
    finally:
        _handed.is_handing_out = False


def _save(figure: Any, path: str, kind: str) -> None:
    try:
        figure.savefig(path, format=kind, bbox_inches="tight")
    except Exception:
        if os.path.exists(path):
            os.unlink(path)
        raise


def _free_name() -> str:
    number = 1
    while any(os.path.lexists(f"{workspace()}/figure_{number}.{kind}") for kind in _handed.formats):
        number += 1
    return f"figure_{number}"


def _remember(figure: Any, name: str, *, is_changed: bool) -> None:
    """Keep what a figure shows that has just been saved under this name."""
    from .charts import describe

    former = getattr(figure, _SAVED, "")
    if former and not is_changed:
        _handed.charts.pop(former, None)
    _handed.charts.pop(name, None)
    if len(_handed.charts) < _MAX_FIGURES:
        _handed.charts[name] = describe(figure)
    setattr(figure, _SAVED, name)
    # Saving itself changes and restores properties, which counts as a change; so may describing.
    figure.stale = False


def _name_in_workspace(figure: Any, fname: Any, kind: Any) -> str:
    """The name, from the working directory on, of the file that was saved; '' for one elsewhere."""
    path = os.fsdecode(fname)
    if kind is None and not os.path.splitext(path)[1][1:]:
        path = f"{path.rstrip('.')}.{figure.canvas.get_default_filetype()}"
    path = os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))
    folder = f"{os.path.realpath(workspace())}/"
    return path.removeprefix(folder) if path.startswith(folder) else ""


def _prepare_matplotlib(matplotlib: Any) -> None:
    """Any back end that needs a display is Agg."""
    original = matplotlib.use

    @functools.wraps(original)
    def use(backend: str, *, force: bool = True) -> None:
        original(_displayless(backend), force=force)

    matplotlib.use = use
    _lay_out_font_cache()


def _displayless(backend: Any) -> Any:
    return backend if str(backend).lower() in _NEEDS_NO_DISPLAY else "agg"


def _lay_out_font_cache() -> None:
    """Put the prepared list of fonts where matplotlib looks: finding fonts takes seconds."""
    target = os.environ.get("MPLCONFIGDIR", "")
    prepared = os.environ.get("PYTHON_CODER_FONTS", "")
    if not target:
        return
    os.makedirs(target, exist_ok=True)
    if not os.path.isdir(prepared):
        return
    for name in os.listdir(prepared):
        with open(f"{prepared}/{name}", "rb") as source, open(f"{target}/{name}", "wb") as copy:
            copy.write(source.read())


def _prepare_figure(module: Any) -> None:
    cls = module.Figure
    original = cls.savefig

    @functools.wraps(original)
    def savefig(self: Any, fname: Any, *args: Any, **kwargs: Any) -> Any:
        is_changed = self.stale
        result = original(self, fname, *args, **kwargs)
        if isinstance(fname, str | os.PathLike) and not _handed.is_handing_out:
            name = _name_in_workspace(self, fname, kwargs.get("format"))
            if name:
                _remember(self, name, is_changed=is_changed)
        return result

    @functools.wraps(cls.show)
    def show(self: Any, warn: bool = True) -> None:
        _hand_out(self)

    cls.savefig = savefig
    cls.show = show


def _prepare_pyplot(pyplot: Any) -> None:
    original_savefig, original_switch = pyplot.savefig, pyplot.switch_backend

    @functools.wraps(pyplot.show)
    def show(*args: Any, **kwargs: Any) -> None:
        numbers = pyplot.get_fignums()
        _handed.last_shown = [pyplot.figure(number) for number in numbers[-1:]]
        for number in numbers:
            _hand_out(pyplot.figure(number))
        if kwargs.get("block") is not False:  # else the window would stay, and be drawn on
            pyplot.close("all")

    @functools.wraps(original_savefig)
    def savefig(*args: Any, **kwargs: Any) -> Any:
        # "show, then save" would save an empty figure.
        if _handed.last_shown and not pyplot.get_fignums():
            return _handed.last_shown[0].savefig(*args, **kwargs)
        return original_savefig(*args, **kwargs)

    @functools.wraps(original_switch)
    def switch_backend(newbackend: Any) -> None:
        original_switch(_displayless(newbackend))

    pyplot.show = show
    pyplot.savefig = savefig
    pyplot.switch_backend = switch_backend


HOOKS = {
    "matplotlib": _prepare_matplotlib,
    "matplotlib.figure": _prepare_figure,
    "matplotlib.pyplot": _prepare_pyplot,
}
