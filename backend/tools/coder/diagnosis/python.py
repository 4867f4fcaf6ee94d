"""Mistakes in the program itself: text that is no Python, names, members and keys that are not there."""

from __future__ import annotations

import builtins
import re

from backend.foreign_code import MAX_CODE_CHARS, parse
from backend.sandbox.policy.nearest import did_you_mean, nearest
from backend.sandbox.policy.wellknown import IMPORTS
from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.tools.coder.diagnosis.signatures import signature_of

_SYNTAX = frozenset({"SyntaxError", "IndentationError", "TabError"})
_SYNTAX_ADVICE = (
    (
        r"never closed|unmatched|does not match",
        "Count the brackets of this line and of those above.",
    ),
    (r"unterminated .*string", "Close the string on its line, or use triple quotes."),
    (r"invalid (?:non-printable )?character", "Use plain ASCII quotes, minus signs and spaces."),
    (r"expected ':'", "End the line with a colon."),
    (r"indent", "Indent with four spaces, every line of a block alike."),
    (r"f-string", "Use the other kind of quotes inside an f-string, and no backslash."),
)
_NAME = re.compile(r"name '([^']+)'|variable '([^']+)'")
_CANNOT_IMPORT = re.compile(
    r"cannot import name '([^']+)' from (?:partially initialized module )?'([^']+)'"
)
_NO_ATTRIBUTE = re.compile(
    r"(?:(module) '([^']+)'|'([^']+)' object|type object '([^']+)') has no attribute '([^']+)'"
)
_KEYS = re.compile(r"'((?:[^'\\]|\\.)*)'")
_GONE = {
    "append": "pd.concat([a, b]) takes its place",
    "ix": "use .loc or .iloc",
    "iteritems": "use .items()",
    "as_matrix": "use .to_numpy()",
    "get_value": "use .at",
    "mad": "use (s - s.mean()).abs().mean()",
    "applymap": "use .map()",
    "has_key": "use the operator in",
    "decode": "a str is text already",
}
_NUMPY_GONE = frozenset("float int bool object str complex".split())


def no_python(case: Case) -> Diagnosis | None:
    """The compiler gave up."""
    if case.type not in _SYNTAX or case.failure is None:
        return None
    frame = case.frame
    beside = frame is not None and "(" in frame.function
    if not beside and _parses(case.code):
        return None  # of a text that the program itself parses
    advice = [text for pattern, text in _SYNTAX_ADVICE if re.search(pattern, case.message)]
    where = f" in line {frame.line}: {frame.source[:160]}" if frame else ""
    return Diagnosis(
        kind="syntax",
        root_cause=f"It is no Python{where} ({case.message.partition(' (')[0]}).",
        advice=(*advice, "Write the whole program again, without anything that is not Python."),
        signature=signature_of("syntax", case),
    )


def _parses(code: str) -> bool:
    return len(code) > MAX_CODE_CHARS or parse(code.removeprefix("\ufeff")) is not None


def no_member(case: Case) -> Diagnosis | None:
    """A module has not what is to be imported from it, or used of it."""
    if case.type == "ImportError" and (found := _CANNOT_IMPORT.search(case.message)):
        name, module = found.groups()
        if "circular import" in case.message:
            cause = f"The module {module!r} is imported while it is being imported itself."
            advice = f"A file of this name hides the real {module!r}: use it under another name."
        else:
            cause = f"The module {module!r} has no {name!r}."
            known = IMPORTS.get(name, "")
            advice = (
                f"Write `{known}`."
                if known
                else f"Use what the installed version of {module!r} has."
            )
        return _of_import(case, cause, advice)
    found = _NO_ATTRIBUTE.search(case.message) if case.type == "AttributeError" else None
    if found is not None and found[1]:
        return _module_lacks(case, found[2], found[5])
    return _object_lacks(case, found[3] or found[4], found[5]) if found else None


def _module_lacks(case: Case, module: str, name: str) -> Diagnosis:
    if module == "numpy" and name in _NUMPY_GONE:
        return _of_import(
            case, f"numpy has no {name!r} any more.", f"Write {name} in place of np.{name}."
        )
    file = f"{module.partition('.')[0]}.py"
    if file in case.files:
        cause = f"The input file {file!r} hides the module {module!r}."
        return _of_import(case, cause, "Do without that module; the file cannot be renamed.")
    return _of_import(
        case,
        f"The module {module!r} has no {name!r}.",
        f"Use what the installed version of {module!r} has; look with print(dir({module.rpartition('.')[2]})).",
    )


def _of_import(case: Case, cause: str, advice: str) -> Diagnosis:
    return Diagnosis(
        kind="import", root_cause=cause, advice=(advice,), signature=signature_of("import", case)
    )


def _object_lacks(case: Case, cls: str, name: str) -> Diagnosis:
    if cls == "NoneType":
        cause = f"What should have {name!r} is None: the call before gave nothing back."
        advice = (
            "Methods that change in place return None (list.sort, append, inplace=True); "
            "re.match and dict.get return None where they find nothing."
        )
        return _of_code(case, cause, advice)
    if (
        cls in ("DataFrame", "Series")
        and name not in _GONE
        and (near := nearest(name, case.columns))
    ):
        return Diagnosis(
            kind="data",
            root_cause=f"There is no column {name!r}. Did you mean {near[0]!r}?",
            advice=(f"Write df[{near[0]!r}].",),
            signature="data: column",
        )
    advice = f"Of {cls}, {_GONE[name]}." if name in _GONE else f"Use a method that {cls} has."
    return _of_code(case, f"A {cls} has no {name!r}.", advice)


def _of_code(case: Case, cause: str, *advice: str) -> Diagnosis:
    return Diagnosis(
        kind="runtime", root_cause=cause, advice=advice, signature=signature_of("runtime", case)
    )


def no_name(case: Case) -> Diagnosis | None:
    """A name that nothing has defined, or not yet."""
    found = _NAME.search(case.message) if case.type in ("NameError", "UnboundLocalError") else None
    if found is None:
        return None
    name = found[1] or found[2]
    if case.type == "UnboundLocalError":
        cause = f"The local variable {name!r} is used before it has a value."
        return _of_code(case, cause, "Give it a value on every way to this line, or pass it in.")
    if name in IMPORTS:
        return _of_code(case, f"{name!r} is not imported.", f"Add `{IMPORTS[name]}` at the top.")
    names = set(re.findall(r"[^\W\d]\w*", case.code[:MAX_CODE_CHARS])) - {name}
    known = [*sorted(names), *(each for each in dir(builtins) if each not in names)]
    cause = f"Nothing defines {name!r}.{did_you_mean(name, known)}"
    return _of_code(case, cause, "Define it before this line; a whole program runs, from its top.")


def no_key(case: Case) -> Diagnosis | None:
    """A dictionary has no such key."""
    if case.type != "KeyError":
        return None
    tables = {name: text for name, text in case.variables.items() if "{" in text}
    keys = [key for text in tables.values() for key in _KEYS.findall(text)]
    key = case.message.strip("'\"")
    said = f" Its keys are: {', '.join(map(repr, dict.fromkeys(keys[:12])))}." if keys else ""
    cause = f"There is no key {case.message[:200]}.{did_you_mean(key, keys)}{said}"
    return _of_code(
        case, cause, "Use a key that is there, or .get() with a value for where it is not."
    )


def own_assertion(case: Case) -> Diagnosis | None:
    """An assertion of its own does not hold."""
    if case.type != "AssertionError":
        return None
    cause = f"An assertion of the program's own does not hold: {case.message or 'no message'}"
    advice = "Look at the values: either the computation or the assertion is wrong."
    return Diagnosis(
        kind="logic", root_cause=cause, advice=(advice,), signature=signature_of("logic", case)
    )
