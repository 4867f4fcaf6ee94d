"""The static check: fast, precise advice for a model, and a refusal of plain harm.

It is not a sandbox and is never called one: with it switched off, the kernel's walls hold all
the same. What it finds is worded so that the program can be rewritten in one go.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from backend.errors import RequestError
from backend.foreign_code import MAX_CODE_CHARS, quiet_compiler
from backend.sandbox.policy.findings import Finding, Surroundings
from backend.sandbox.policy.imports import BLOCKED_IMPORTS, SAFE_PACKAGES
from backend.sandbox.policy.packages import installed_in, third_party_imports
from backend.sandbox.policy.python import judge_tree
from backend.sandbox.policy.shell import check_shell
from backend.types import Issue, Language

__all__ = [
    "BLOCKED_IMPORTS",
    "SAFE_PACKAGES",
    "blocking",
    "check",
    "examine",
    "installed_in",
    "third_party_imports",
]

_COOKIE = re.compile(r"[ \t\f]*#[^\n]*?coding[:=][ \t]*([-\w.]+)")
_UTF8_NAMES = frozenset({"utf-8", "utf8", "utf-8-sig", "u8", "ascii", "us-ascii"})
_SYNTAX_HINTS: Final = (
    (re.compile(r"^\s*(?:!|%%?)\s*\w"), "Remove shell and notebook lines such as '!pip' or '%matplotlib'."),
    (re.compile(r"^\s*(?:```|~~~)"), "Remove the Markdown fence; write the program alone."),
    (re.compile(r"^\s*(?:>>>|\.\.\.) "), "Remove the '>>>' prompts."),
    (re.compile(r"^\s*print\s+[^(=\s]"), "Write print(...) with parentheses: this is Python 3."),
    (re.compile(r"[\u2018\u2019\u201c\u201d]"), "Use straight quotes."),
)  # fmt: skip

_COMPILED_CHARS: Final = 50_000
"""Up to which length a program is compiled as well. That takes ten seconds for twenty thousand small
functions, in which the whole process stands still; running it tells the same."""


def check(
    code: str,
    language: Language = "python",
    *,
    allow_network: bool = False,
    known_modules: Collection[str] = (),
    files: Collection[str] | None = None,
    columns: Mapping[str, Collection[str]] | None = None,
    installed: Collection[str] | None = None,
    names: Collection[str] | None = None,
    foresee: bool = False,
) -> list[Issue]:
    """What there is to say about a program before it runs, by line; nothing is executed.

    What is not known of the program's surroundings (None) is not judged.

    Args:
        code: the whole program; any text at all is answered, never raised at.
        language: "python" is parsed, "bash" is searched for plain harm.
        allow_network: programs do have a network; then only raw sockets are refused.
        known_modules: import names that lie beside the program (uploaded ``.py`` files).
        files: every name that lies in the working directory when the program starts.
        columns: name of a file -> all columns of its table, or of all of its sheets.
        installed: what can be imported beside the standard library; see ``installed_in``.
        names: variables that the program finds defined; () when there are none.
        foresee: what is certain to fail is an ``error``: a name that nothing defines, a file,
            column or package that is not there, input(), a loop without end. Else it is advice.

    Returns:
        Issues of severity ``security`` (never run), ``error`` (blocking) or ``advice``.

    Raises:
        RequestError: `language` is neither "python" nor "bash".
    """
    around = Surroundings(
        allow_network=allow_network,
        known_modules=known_modules,
        files=files,
        columns=columns,
        installed=installed,
        names=names,
        foresee=foresee,
    )
    return [found.issue for found in examine(code, language, around)]


def examine(code: str, language: Language, around: Surroundings) -> list[Finding]:
    """The same as ``check``, each issue with what mends it where that is certain.

    Raises:
        RequestError: `language` is neither "python" nor "bash".
    """
    if language not in ("python", "bash"):
        raise RequestError(
            f"There is no language {language!r}.", "Use python or bash.", param="language"
        )
    if len(code) > MAX_CODE_CHARS:
        return [Finding(issue=_too_large(len(code)))]
    if "\0" in code:
        return [Finding(issue=_null_byte(code))]
    if language == "bash":
        found = check_shell(code, allow_network=around.allow_network)
        return [Finding(issue=issue) for issue in found]
    return _examine_python(code, around)


def blocking(issues: Iterable[Issue]) -> list[Issue]:
    """Those findings that keep a program from running."""
    return [issue for issue in issues if issue.severity != "advice"]


def _examine_python(code: str, around: Surroundings) -> list[Finding]:
    parsed = _parse(code)
    if isinstance(parsed, Issue):
        return [Finding(issue=parsed)]
    cookie = _foreign_encoding(code)
    found = [] if cookie is None else [Finding(issue=cookie)]
    return found + judge_tree(parsed, around)


def _parse(code: str) -> ast.Module | Issue:
    """The syntax tree; compiled as well, because ``return`` outside a function still parses."""
    with quiet_compiler():
        try:
            tree = ast.parse(code)
            if len(code) <= _COMPILED_CHARS:
                compile(tree, "<program>", "exec", dont_inherit=True)
        except SyntaxError as error:
            return _syntax_issue(error, code)
        except UnicodeEncodeError as error:
            return _syntax(
                f"The program holds the character {code[error.start]!r}, which is no Unicode text.",
                "Remove it.",
                code.count("\n", 0, error.start) + 1,
            )
        except (RecursionError, MemoryError):
            return _syntax(
                "The program is nested too deeply to be parsed.",
                "Use loops, lists or intermediate variables instead of one long expression.",
            )
        except (ValueError, OverflowError) as error:
            return _syntax(f"The program cannot be parsed: {error}.", "Write it in plain Python.")
    return tree


def _syntax_issue(error: SyntaxError, code: str) -> Issue:
    line = error.lineno
    lines = code.split("\n")
    text = lines[line - 1] if line and line <= len(lines) else ""
    hint = next((hint for pattern, hint in _SYNTAX_HINTS if pattern.search(text)), "Correct it.")
    shown = f" in {text.strip()[:120]!r}" if text.strip() else ""
    return _syntax(f"{type(error).__name__}: {error.msg}{shown}.", hint, line or 1)


def _syntax(what: str, remedy: str, line: int = 1) -> Issue:
    return Issue(kind="syntax", message=f"{what} {remedy}", line=line)


def _null_byte(code: str) -> Issue:
    line = code.count("\n", 0, code.index("\0")) + 1
    return _syntax("The program holds a null byte.", "Write '\\x00' inside a text instead.", line)


def _too_large(length: int) -> Issue:
    return Issue(
        kind="too_large",
        message=f"The program has {length:,} characters; at most {MAX_CODE_CHARS:,} are accepted. "
        "Put data into an input file and read it from there.",
    )


def _foreign_encoding(code: str) -> Issue | None:
    """An encoding line that would make the interpreter read another program than this one."""
    for number, line in enumerate(code.split("\n", 2)[:2], start=1):
        found = _COOKIE.match(line)
        if found and found[1].lower().replace("_", "-") not in _UTF8_NAMES:
            return Issue(
                kind="encoding",
                message=f"The encoding line names {found[1]!r}; programs are read as UTF-8. Remove it.",
                line=number,
            )
    return None
