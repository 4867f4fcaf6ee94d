"""Imports that cannot work because the package, or its submodule, is not there."""

from __future__ import annotations

import ast
import copy
import difflib
from collections.abc import Collection
from typing import Final

from backend.sandbox.policy import packages
from backend.sandbox.policy.findings import Edit, Finding, Surroundings, finding, replace
from backend.sandbox.policy.imports import SAFE_PACKAGES, USUAL_PACKAGES
from backend.sandbox.policy.nearest import nearest
from backend.sandbox.policy.scopes import Imported
from backend.sandbox.policy.walk import Program
from backend.types import Severity

_SURE: Final = 0.85
_ALL_IN_SUBMODULES: Final = frozenset({"sklearn", "scipy", "matplotlib", "statsmodels"})
"""Packages that offer nearly nothing themselves, so that a member is a submodule."""


def missing_package(imported: Imported, program: Program, around: Surroundings) -> Finding | None:
    """What there is to say about an import that the check otherwise accepts."""
    installed = around.installed
    if installed is None or imported.level:
        return None
    top, _, rest = imported.module.partition(".")
    if top in around.known_modules:
        return None
    if packages.is_installed(top, installed):
        return _missing_submodule(imported, program, around, rest.partition(".")[0])
    instead = packages.alternatives(top, installed)
    help_ = what_there_is(installed)
    if instead:
        help_ = f"Use {' or '.join(instead)} instead, which can be imported here."
    return finding(
        "missing_package",
        f"The package {top} is not installed here. {help_}",
        imported.line,
        severity=_severity(imported, program, around),
    )


def _severity(imported: Imported, program: Program, around: Surroundings) -> Severity:
    return "error" if around.foresee and id(imported.node) in program.certain else "advice"


def _missing_submodule(
    imported: Imported, program: Program, around: Surroundings, submodule: str
) -> Finding | None:
    """``sklearn.ensamble``, ``from matplotlib import pyplt``: only where a near one is there."""
    installed = around.installed or ()
    top = imported.module.partition(".")[0]
    name = submodule or imported.member or "*"
    is_member = not submodule
    if name == "*" or name[0] == "_" or f"{top}.{name}" in installed:
        return None
    if is_member and (top not in _ALL_IN_SUBMODULES or name[0].isupper()):
        return None
    known = [each for each in packages.submodules(top, installed) if not each.startswith("_")]
    near = nearest(name, known, n=1)
    if not near:
        return None
    if is_member and difflib.SequenceMatcher(None, name, near[0]).ratio() < _SURE:
        return None
    move = _other_member if is_member else renamed
    edit = move(imported, f"{top}.{name}", f"{top}.{near[0]}")
    return finding(
        "missing_package",
        f"There is no module {top}.{name}. Did you mean {top}.{near[0]}?",
        imported.line,
        severity="advice" if is_member else _severity(imported, program, around),
        mending=edit,
    )


def what_there_is(installed: Collection[str] | None) -> str:
    """What to do without a package."""
    usual = [name for name in USUAL_PACKAGES if installed is None or name in installed]
    others = "".join(f", {name}" for name in usual)
    return f"Write what is needed in the program itself, or use the standard library{others}."


def misspelt_package(imported: Imported, around: Surroundings) -> tuple[str, Edit | None]:
    """What to import instead of a name that is no package; and how, where that is certain."""
    top = imported.module.partition(".")[0]
    known = SAFE_PACKAGES if around.installed is None else packages.importable(around.installed)
    if (meant := packages.imported_as(top)) is not None:
        is_there = meant.partition(".")[0] in known
        return f"Import {meant} instead.", renamed(imported, top, meant) if is_there else None
    if instead := packages.alternatives(top, around.installed):
        return f"Import {instead[0]} instead.", None
    near = nearest(top, [name for name in known if abs(len(name) - len(top)) <= 3])
    if not near:
        return "", None
    one = near[0] if len(near) == 1 and len(top) > 3 else None
    return f"Did you mean {' or '.join(near)}?", renamed(imported, top, one) if one else None


def renamed(imported: Imported, old: str, new: str) -> Edit | None:
    """The statement with another module in it; the names that it defines stay the same."""
    statement = copy.deepcopy(imported.node)
    if isinstance(statement, ast.ImportFrom):
        if statement.module is None:
            return None
        statement.module = _moved(statement.module, old, new)
    else:
        for alias in statement.names:
            if alias.name == old or alias.name.startswith(f"{old}."):
                if alias.asname is None:
                    if alias.name != old or "." in old:
                        return None
                    alias.asname = old
                alias.name = _moved(alias.name, old, new)
    return replace(statement, ast.unparse(statement), f"imported `{new}` instead of `{old}`")


def _other_member(imported: Imported, old: str, new: str) -> Edit | None:
    """``from matplotlib import pyplot as pyplt`` for ``from matplotlib import pyplt``."""
    statement = copy.deepcopy(imported.node)
    member = old.rpartition(".")[2]
    for alias in statement.names:
        if alias.name == member:
            alias.asname = alias.asname or member
            alias.name = new.rpartition(".")[2]
    return replace(statement, ast.unparse(statement), f"imported `{new}` instead of `{old}`")


def _moved(module: str, old: str, new: str) -> str:
    return new + module[len(old) :] if module == old or module.startswith(f"{old}.") else module
