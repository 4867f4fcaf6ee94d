"""The Python half of the static check: what is to be said about what the walk has collected."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from dataclasses import replace as with_other
from itertools import islice
from typing import Final

from backend.sandbox.policy import imports as packages
from backend.sandbox.policy import tables
from backend.sandbox.policy.bans import Ban
from backend.sandbox.policy.columns import missing_columns
from backend.sandbox.policy.findings import Finding, Mending, Surroundings, finding, listed, replace
from backend.sandbox.policy.literals import folded
from backend.sandbox.policy.loops import endless_loops
from backend.sandbox.policy.missing import missing_package, misspelt_package, what_there_is
from backend.sandbox.policy.paths import is_there, missing_files
from backend.sandbox.policy.scopes import Imported
from backend.sandbox.policy.shapes import is_class, namespace_owner, opens_to_write
from backend.sandbox.policy.undefined import undefined_names
from backend.sandbox.policy.walk import Program
from backend.types import Severity

MAX_ISSUES = 40
"""More findings than that help nobody who has to rewrite the program."""


def judge_tree(tree: ast.Module, around: Surroundings) -> list[Finding]:
    """The findings about a parsed program, by line; see `backend.sandbox.policy.check`."""
    return _Findings(Program(tree), around).judge()


class _Findings:
    def __init__(self, program: Program, around: Surroundings) -> None:
        self._program = program
        self._around = around
        self._found: dict[tuple[str, str, int], Finding] = {}

    def judge(self) -> list[Finding]:
        self._judge_all()
        found: list[Finding] = []
        for look in (missing_files, undefined_names, missing_columns, endless_loops):
            found += islice(look(self._program, self._around), MAX_ISSUES)
        lost = {each.issue.line for each in found if each.issue.kind == "missing_file"}
        found += [each for each in self._found.values() if not _is_said_better(each, lost)]
        # What keeps a program from running is not cut off by advice.
        found.sort(key=lambda each: each.issue.severity == "advice")
        return sorted(found[:MAX_ISSUES], key=lambda each: each.issue.line or 0)

    def _judge_all(self) -> None:
        program = self._program
        for imported in program.imports:
            self._judge_import(imported)
        for node, scope in program.names:
            if not scope.binds(node.id, node.lineno):
                self._judge_name(node)
        for attribute in program.attributes:
            if id(attribute) not in program.harmless:
                self._judge_attribute(attribute)
        for lookup in program.lookups:
            self._judge_lookup(lookup)
        for text in program.texts:
            if id(text) not in program.harmless:
                self._judge_text(text)
        for call, name in program.calls:
            _CALL_RULES.get(name, _Findings._judge_files)(self, call, name)

    # --- imports -----------------------------------------------------------------------------

    def _judge_import(self, imported: Imported) -> None:
        module, member, line = imported.module, imported.member, imported.line
        if imported.level:
            what = f"The relative import from {'.' * imported.level + module!r} cannot work: the program is a single file."
            self._add("blocked_import", what, "Put what it needs into the program itself.", line)
            return
        reached = [*packages.module_and_parents(module)]
        if member not in (None, "*"):
            reached.append(f"{module}.{member}")
        for name in reached:
            if ban := packages.BANNED_IMPORTS.get(name):
                self._refuse("blocked_import", f"The import of {name}", ban, line)
                return
        if member is not None:
            self._judge_member(module, member, line)
        if not self._is_known(reached[0]):
            self._unknown_import(imported)
        elif (found := missing_package(imported, self._program, self._around)) is not None:
            self._found.setdefault((found.issue.kind, found.issue.message, line), found)

    def _is_known(self, top: str) -> bool:
        """A package that is commonly used, one that is installed, or a file beside the program."""
        known = top in packages.SAFE_PACKAGES or top in self._around.known_modules
        return known or top in (self._around.installed or ())

    def _judge_member(self, module: str, member: str, line: int) -> None:
        if member == "*" and module in ("os", "sys"):
            what = f"'from {module} import *' hides which functions are used."
            self._add("blocked_import", what, f"Write 'import {module}'.", line)
        elif ban := self._ban_in(module, member) or tables.BANNED_ATTRIBUTES.get(member):
            self._refuse("blocked_call", f"{module}.{member}", ban, line)

    def _unknown_import(self, imported: Imported) -> None:
        top = imported.module.partition(".")[0]
        if len(self._found) >= 2 * MAX_ISSUES:
            return  # looking for what was meant takes long, and nobody would be told
        instead, edit = misspelt_package(imported, self._around)
        what = f"{top} is not among the packages that programs can import here."
        severity: Severity = "advice" if self._program.guarded(imported.line) else "error"
        instead = instead or what_there_is(self._around.installed)
        self._add("unknown_import", what, instead, imported.line, severity, edit)

    # --- names, attributes, texts ------------------------------------------------------------

    def _judge_name(self, node: ast.Name) -> None:
        ban = tables.BANNED_NAMES[node.id]
        kind = "escape" if ban is tables.ESCAPE else "blocked_call"
        if ban.severity == "advice":
            certain = self._around.foresee and id(node) in self._program.certain
            severity: Severity = "error" if certain else "advice"
            self._add_ban("input", node.id, ban, node.lineno, severity)
        else:
            self._refuse(kind, node.id, ban, node.lineno)

    def _judge_attribute(self, node: ast.Attribute) -> None:
        name, base = node.attr, node.value
        if name in tables.CLASS_TREE:
            if not is_class(base):
                self._refuse("escape", name, tables.ESCAPE, node.lineno)
        elif ban := tables.BANNED_ATTRIBUTES.get(name):
            of_own_class = isinstance(base, ast.Name) and base.id in self._program.classes
            if not (name == "__subclasses__" and of_own_class):
                kind = "escape" if ban is tables.ESCAPE else "blocked_call"
                self._refuse(kind, name, ban, node.lineno)
        else:
            path = self._program.path(base)
            if ban := self._ban_in(path, name):
                self._refuse("blocked_call", f"{path}.{name}", ban, node.lineno)

    def _ban_in(self, path: str, name: str) -> Ban | None:
        """The ban on attribute `name` of the module at `path`."""
        root, _, _ = path.partition(".")
        ban = tables.BANNED_OF_MODULE.get(path.rpartition(".")[2], {}).get(name)
        if ban is None and name in tables.HIDDEN_MODULES and self._program.imports_root(root):
            return tables.HIDDEN_MODULES[name]
        return ban

    def _judge_lookup(self, node: ast.Subscript) -> None:
        base, key = node.value, folded(node.slice)
        if isinstance(base, ast.Attribute) and base.attr in tables.CLASS_TREE:
            self._refuse("escape", f"{base.attr}[...]", tables.ESCAPE, node.lineno)
        if key is None:
            return
        ban: Ban | None
        if (owner := namespace_owner(base)) is not None:
            path = self._program.path(owner)
            ban = tables.BANNED_KEYS.get(key) or self._ban_in(path, key)
        else:
            ban = tables.BANNED_KEYS.get(key) if key.startswith("__") else None
        if ban is not None:
            self._refuse("escape", f"[{key!r}]", ban, node.lineno)

    def _judge_text(self, node: ast.Constant) -> None:
        text = str(node.value)
        if tables.SECRET_PATH.fullmatch(text):
            self._add(
                "path",
                f"{text[:80]!r} is part of the machine and not there for programs.",
                tables.OUTSIDE.instead,
                node.lineno,
                "security",
            )
        elif "{" in text and any(f".{name}" in text for name in tables.FORMAT_ESCAPES):
            self._refuse("escape", "A format text that climbs", tables.ESCAPE, node.lineno)

    # --- calls -------------------------------------------------------------------------------

    def _judge_getattr(self, node: ast.Call, name: str) -> None:
        if not node.args or (len(node.args) < 2 and name != "__getattribute__"):
            return
        path = self._program.path(node.args[0])
        wanted = folded(node.args[min(1, len(node.args) - 1)])
        if wanted is None:
            if path in tables.BANNED_OF_MODULE or path in packages.BANNED_IMPORTS:
                subject = f"{name}({path}, ...) with a computed name"
                self._refuse("escape", subject, tables.ESCAPE, node.lineno)
        elif ban := tables.BANNED_TEXTS.get(wanted) or self._ban_in(path, wanted):
            self._refuse("escape", f"{name}(..., {wanted!r})", ban, node.lineno)

    def _judge_getter(self, node: ast.Call, name: str) -> None:
        for argument in node.args:
            for part in (folded(argument) or "").split("."):
                if ban := tables.BANNED_TEXTS.get(part):
                    self._refuse("escape", f"{name}({part!r})", ban, node.lineno)

    def _judge_load(self, node: ast.Call, name: str) -> None:
        path = self._program.path(node.func)
        if path.startswith("yaml."):
            given = [k.value for k in node.keywords if k.arg == "Loader"] or node.args[1:2]
            loader = self._program.path(given[0]).rpartition(".")[2] if given else ""
            if loader not in tables.SAFE_LOADERS:
                what = f"{path}() without a safe loader runs code that the text names."
                self._add("blocked_call", what, "Use yaml.safe_load().", node.lineno, "security")
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True):
                self._refuse("blocked_call", "allow_pickle=True", tables.UNPICKLE_CALL, node.lineno)
        self._judge_files(node, name)

    def _judge_code_type(self, node: ast.Call, name: str) -> None:
        self._refuse("escape", f"{name}()", tables.RUN_TEXT, node.lineno)

    def _judge_query(self, node: ast.Call, name: str) -> None:
        text = self._program.text(node.args[0]) if node.args else None
        if text and "@" in text and "__" in text and isinstance(node.func, ast.Attribute):
            self._refuse("escape", f"{name}({text[:60]!r})", tables.ESCAPE, node.lineno)

    def _judge_download(self, node: ast.Call, name: str) -> None:
        if self._program.path(node.func).partition(".")[0] in tables.DOWNLOADING_PACKAGES:
            self._refuse("network", f"{name}()", packages.NETWORK, node.lineno)

    def _judge_backend(self, node: ast.Call, name: str) -> None:
        of_matplotlib = self._program.path(node.func) in tables.BACKEND_PATHS
        backend = folded(node.args[0]) if node.args and of_matplotlib else None
        if backend and backend.lower() in tables.SCREEN_BACKENDS:
            says = f"drew with the backend 'Agg' instead of {backend!r}"
            edit = replace(node.args[0], "'Agg'", says)
            what = f"The backend {backend} {tables.NO_SCREEN.why}."
            self._add("display", what, tables.NO_SCREEN.instead, node.lineno, "advice", edit)

    def _judge_files(self, node: ast.Call, name: str) -> None:
        changing = name in tables.CHANGING_CALLS or (name == "open" and opens_to_write(node))
        for argument in node.args[:2]:
            path = self._program.text(argument)
            if path is None or is_there(path, self._around.files or ()):
                continue
            if name in tables.ADDRESS_CALLS and path.startswith(tables.ADDRESSES):
                self._refuse("network", f"{name}({path[:60]!r})", packages.NETWORK, node.lineno)
            elif tables.ELSEWHERE.match(path) and not tables.HARMLESS_PATH.match(path):
                harm = (tables.SYSTEM_PATH if changing else tables.MACHINE_PATH).match(path)
                subject = f"{path[:80]!r} in {name}()"
                severity: Severity = "security" if harm else "advice"
                self._add_ban("path", subject, tables.OUTSIDE, node.lineno, severity)

    # --- findings ----------------------------------------------------------------------------

    def _refuse(self, kind: str, subject: str, ban: Ban, line: int) -> None:
        """Add a finding, unless it is about a network that there is; mild where it is caught."""
        if ban.network and self._around.allow_network:
            return
        if ban.network and self._around.files:
            ban = with_other(
                ban, instead=f"{ban.instead} The input files are {listed(self._around.files)}."
            )
        mild = ban.severity == "error" and self._program.guarded(line)
        self._add_ban(kind, subject, ban, line, "advice" if mild else ban.severity)

    def _add_ban(self, kind: str, subject: str, ban: Ban, line: int, severity: Severity) -> None:
        self._add(kind, f"{subject} {ban.why}.", ban.instead, line, severity)

    def _add(
        self,
        kind: str,
        what: str,
        instead: str,
        line: int,
        severity: Severity = "error",
        mending: Mending | None = None,
    ) -> None:
        found = finding(kind, f"{what} {instead}", line, severity=severity, mending=mending)
        self._found.setdefault((kind, what, line), found)


def _is_said_better(found: Finding, lost: Collection[int | None]) -> bool:
    """That a path lies outside, where it is said which file was meant."""
    issue = found.issue
    return issue.kind == "path" and issue.severity == "advice" and issue.line in lost


_CALL_RULES: Final[dict[str, Callable[[_Findings, ast.Call, str], None]]] = {
    **dict.fromkeys(tables.DOWNLOADS, _Findings._judge_download),
    **dict.fromkeys(tables.GETATTR_CALLS, _Findings._judge_getattr),
    **dict.fromkeys(tables.GETTER_CALLS, _Findings._judge_getter),
    **dict.fromkeys(tables.LOAD_CALLS, _Findings._judge_load),
    **dict.fromkeys(tables.CODE_TYPES, _Findings._judge_code_type),
    **dict.fromkeys(tables.QUERY_CALLS, _Findings._judge_query),
    **dict.fromkeys(tables.BACKEND_CALLS, _Findings._judge_backend),
}
