"""Shown figures, and figures left open, become PNG files in the working directory.

There is no display here: ``show`` means "hand it out". A shown figure is closed as a window would
be, so that the next plot begins on an empty one. A figure that the program has saved itself, and
not changed since, is not handed out twice.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

_FOLDER = "/workspace"
_SAVED = "_saved_in_workspace"
_NEEDS_NO_DISPLAY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
_last_shown: list[Any] = []


def save_open() -> None:
    """Save every figure that pyplot still holds and that is not saved as it is now."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return
    for manager in helpers.Gcf.get_all_fig_managers():
        _hand_out(manager.canvas.figure)


def _hand_out(figure: Any) -> None:
    if getattr(figure, _SAVED, False) and not figure.stale:
        return
    path = _free_name()
    try:
        figure.savefig(path, format="png", bbox_inches="tight")
    except Exception as error:
        if os.path.exists(path):
            os.unlink(path)
        print(f"A figure could not be saved: {error!r}", file=sys.stderr)


def _free_name() -> str:
    number = 1
    while os.path.lexists(f"{_FOLDER}/figure_{number}.png"):
        number += 1
    return f"{_FOLDER}/figure_{number}.png"


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
        result = original(self, fname, *args, **kwargs)
        if isinstance(fname, str | os.PathLike):
            folder = os.path.realpath(os.path.dirname(os.fspath(fname)) or ".")
            if os.fsdecode(folder).startswith(_FOLDER):
                setattr(self, _SAVED, True)
                # Saving itself changes and restores properties, which counts as a change.
                self.stale = False
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
        _last_shown[:] = [pyplot.figure(number) for number in numbers[-1:]]
        for number in numbers:
            _hand_out(pyplot.figure(number))
        pyplot.close("all")

    @functools.wraps(original_savefig)
    def savefig(*args: Any, **kwargs: Any) -> Any:
        # "show, then save" would save an empty figure.
        if _last_shown and not pyplot.get_fignums():
            return _last_shown[0].savefig(*args, **kwargs)
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
