"""What is asked of the loop: the request, and how it is to be worked on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from backend.errors import RequestError
from backend.tools.coder.proof.agreement import Agreement, agree
from backend.tools.languages import language_of
from backend.types import Focus, Language

_MOST_ATTEMPTS = 100


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a task is to be worked on; plain values, so that it can be kept with the state."""

    language: Language | None = None
    """None: told from the request, and the model may choose the other one."""
    focus: Focus | None = None
    """What to improve in ``code``."""
    code: str = ""
    """A program to work on, instead of beginning with an empty page."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Name of a variable -> its type, or the type's name, which the program has to leave behind."""
    constraints: Sequence[str] = ()
    """What must hold: expressions over the outputs are checked, words are told to the model."""
    schema: str | Mapping[str, Any] = ""
    """What the output looks like, in words or as a JSON schema."""
    tests: str = ""
    """pytest functions of the caller; they are never changed."""
    write_tests: bool = False
    """Let the model write tests as well."""
    skip_tests: bool = False
    """Neither write nor run any."""
    max_iterations: int | None = None
    """Rewrites before a run; None for the setting."""
    max_retries: int | None = None
    """Repairs after failed runs; None for the setting."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            RequestError: names the option, its value and what is allowed.
            TypeError: an option has the wrong type; of constraints a text counts as such.
            ValueError: a declared type, constraint or schema that cannot be read; tests that are
                none.
        """
        self._require_types()
        agreed = self.agreed()
        object.__setattr__(self, "outputs", agreed.outputs.types)
        object.__setattr__(self, "constraints", tuple(self.constraints))
        _one_of("language", self.language, get_args(Language))
        object.__setattr__(self, "language", self._language(agreed))
        _one_of("focus", self.focus, get_args(Focus))
        for name in ("max_iterations", "max_retries"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= _MOST_ATTEMPTS:
                raise RequestError(
                    f"{name} is {value!r}.",
                    f"Use a whole number from 0 to {_MOST_ATTEMPTS}.",
                    param=name,
                )
        if self.focus and not self.code.strip():
            raise RequestError(
                f"focus is {self.focus!r}, and there is no code to improve.",
                "Give the program as code.",
                param="code",
            )

    def _require_types(self) -> None:
        wanted: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
            ("code", str, "a str"),
            ("outputs", Mapping, "a mapping of names to types"),
            ("constraints", Sequence, "a sequence of str"),
            ("tests", str, "a str"),
            ("write_tests", bool, "a bool"),
            ("skip_tests", bool, "a bool"),
            ("max_iterations", (int, NoneType), "an int or None"),
            ("max_retries", (int, NoneType), "an int or None"),
        )
        for name, kind, words in wanted:
            value = getattr(self, name)
            is_other = isinstance(value, bool) and kind is not bool
            # Each letter of a text would be a constraint.
            is_other = is_other or (name == "constraints" and isinstance(value, str | bytes))
            if is_other or not isinstance(value, kind):
                raise TypeError(f"{name} must be {words}, not {type(value).__name__}")

    def _language(self, agreed: Agreement) -> Language | None:
        """Python where only that can be held to what is asked; else that of the given program."""
        tests = not self.skip_tests and bool(agreed.tests or self.write_tests)
        if agreed.outputs or agreed.constraints.checks or tests:
            if self.language == "bash":
                raise RequestError(
                    "language is 'bash', and outputs, constraints or tests are declared, which "
                    "only a Python program can be held to.",
                    "Leave out one of the two.",
                    param="language",
                )
            return "python"
        return self.language or language_of(self.code)

    def agreed(self, inputs: Iterable[str] = ()) -> Agreement:
        """What is asked of the program, read.

        Args:
            inputs: names of the variables that it finds defined.
        """
        return agree(
            outputs=self.outputs,
            constraints=self.constraints,
            schema=self.schema,
            tests="" if self.skip_tests else self.tests,
            inputs=inputs,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "constraints": list(self.constraints)}


def options_of(plain: Mapping[str, Any]) -> Options:
    """The options that ``as_dict`` gave."""
    return Options(**{**plain, "constraints": tuple(plain["constraints"])})


def _one_of(name: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise RequestError(
            f"{name} is {value!r}.", f"Use one of: {', '.join(allowed)}.", param=name
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task with everything that belongs to it."""

    request: str
    background: str = ""
    """What else there is to know."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name in the working directory -> path outside."""
    facts: Sequence[Mapping[str, Any]] | None = None
    """Of the files, where they were inspected before; None to inspect them."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Variables that the program finds defined: living objects, which are not kept."""
    options: Options = Options()

    def __post_init__(self) -> None:
        """Variables speak for Python: in Bash they are but text."""
        if self.inputs and self.options.language is None:
            object.__setattr__(self, "options", replace(self.options, language="python"))
