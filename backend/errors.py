"""Every exception that leaves the house, one class for each actor who must act.

A *program's* failure is not here: it is a value, ``ExecutionResult`` or the result's dict.

    PythonCoderError
    ├── RequestError              the caller changes the request        HTTP 400, exit status 2
    │   ├── NotFound              ... names something that exists       HTTP 404, exit status 2
    │   │   └── SessionGone       ... opens another session
    │   ├── Conflict              ... looks how it stands by now        HTTP 409, exit status 2
    │   │   └── RunTaken          ... leaves it to its worker       HTTP 409, exit status 2
    │   ├── Busy                  ... waits, or closes something        HTTP 429, exit status 2
    │   └── TooLarge              ... sends less                        HTTP 413, exit status 2
    ├── SettingsError             the operator changes a setting        start refused, status 2
    ├── Disabled                  the operator switches it on           HTTP 403, exit status 2
    ├── MachineError              the operator installs or starts it    HTTP 503, exit status 3
    │   ├── SandboxUnavailable
    │   ├── ModelUnavailable
    │   └── StoreUnavailable
    ├── ModelError                the model did not do its part         HTTP 502, exit status 3
    │   ├── ModelNotFound         ... the operator pulls it             HTTP 404, exit status 3
    │   └── BadReply              ... nothing usable was answered
    │       └── ContextExceeded   the caller asks with less text        HTTP 400, exit status 3
    ├── BudgetExceeded            the caller allows more, or asks less  HTTP 429, exit status 1
    ├── ApprovalNeeded            the user decides about a program      HTTP 409, exit status 4
    ├── ProgramRefused            nobody: the user has decided          HTTP 403, exit status 1
    ├── RunCancelled              nobody: somebody ended the request    HTTP 499, exit status 1
    └── TaskFailed                a typed call has no value to return   who: see error_kind

``str(error)`` is one line: what happened, with the value, then what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.types import ErrorKind, ModelCall


class PythonCoderError(Exception):
    """Base of all. ``what`` happened and the ``remedy``, each a sentence."""

    error_kind: ErrorKind = "input"
    http_status: int = 500
    exit_status: int = 1
    calls: tuple[ModelCall, ...] = ()
    """What the call or the step that it ended used up all the same, as far as the server told."""
    place: str = ""
    """The address of who failed, for the operator alone: ``str(error)`` has it, and no other words."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what} {remedy}".strip())

    @property
    def words(self) -> str:
        """What happened and what to do next, for anybody."""
        return f"{self.what} {self.remedy}".strip()

    @property
    def what_and_where(self) -> str:
        """What happened, with its ``place``."""
        return f"{self.what.removesuffix('.')} ({self.place})." if self.place else self.what

    def __str__(self) -> str:
        return f"{self.what_and_where} {self.remedy}".strip()


class RequestError(PythonCoderError):
    """The request cannot be served as it was put; the caller can put it right."""

    error_kind = "input"
    http_status = 400
    exit_status = 2

    def __init__(self, what: str, remedy: str = "", *, param: str | None = None) -> None:
        super().__init__(what, remedy)
        self.param = param
        """The field of the request that is meant, for the API's error envelope."""


class NotFound(RequestError):
    """The request names a file, session, run or agent that does not exist."""

    http_status = 404


class SessionGone(NotFound):
    """The session's state is no more: it was closed, has expired, or was lost."""


class Conflict(RequestError):
    """What the request names is not in a state in which this can be done."""

    http_status = 409


class RunTaken(Conflict):
    """A run is another process's by now, or over: what was done here is not recorded."""


class Busy(RequestError):
    """As many of these as may be are open or running already."""

    http_status = 429

    def __init__(
        self,
        what: str,
        remedy: str = "",
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(what, remedy, param=param)
        self.retry_after_s = retry_after_s
        """Whole seconds after which it is worth another try, where that can be told."""


class TooLarge(RequestError):
    """A file, question or body is over its limit."""

    http_status = 413


class SettingsError(PythonCoderError):
    """A setting has a value that is not allowed; names variable, value and what is allowed."""

    exit_status = 2


class Disabled(PythonCoderError):
    """``PYTHON_CODE_ENABLED`` is false."""

    error_kind = "disabled"
    http_status = 403
    exit_status = 2


class MachineError(PythonCoderError):
    """Something the machine should have is missing or not running."""

    http_status = 503
    exit_status = 3


class SandboxUnavailable(MachineError):
    """The isolation asked for cannot be given here; nothing was run."""

    error_kind = "sandbox"


class ModelUnavailable(MachineError):
    """The model server cannot be reached or does not answer in time."""

    error_kind = "model"


class StoreUnavailable(MachineError):
    """What is to be kept cannot be: the disk is full, or another program has the database."""


class ModelError(PythonCoderError):
    """The model server answered, but not with something usable."""

    error_kind = "model"
    http_status = 502
    exit_status = 3


class ModelNotFound(ModelError):
    """The model server does not have this model."""

    http_status = 404


class BadReply(ModelError):
    """Empty, cut off or unreadable, after the re-asks that were allowed.

    ``partial`` is what did arrive; it is shown, never run.
    """

    def __init__(self, what: str, remedy: str = "", *, reason: str = "", partial: str = "") -> None:
        super().__init__(what, remedy)
        self.reason = reason
        """``empty length dropped tool_parse context unreadable``; '' when it is another."""
        self.partial = partial


class ContextExceeded(BadReply):
    """The question does not fit into the model's context, whatever was left out of it."""

    http_status = 400

    def __init__(self, what: str, remedy: str = "", *, partial: str = "") -> None:
        super().__init__(what, remedy, reason="context", partial=partial)


class BudgetExceeded(PythonCoderError):
    """A request used up the model calls, tokens or seconds it was allowed."""

    error_kind = "budget"
    http_status = 429

    def __init__(
        self,
        what: str,
        remedy: str = "",
        *,
        budget: str = "",
        value: float = 0,
        limit: float = 0,
        setting: str = "",
    ) -> None:
        super().__init__(what, remedy)
        self.budget = budget
        """``calls``, ``tokens`` or ``seconds``."""
        self.value = value
        """How much of it was used."""
        self.limit = limit
        self.setting = setting
        """The variable that allows more."""


class ApprovalNeeded(PythonCoderError):
    """The work stands still until somebody decides about a program; its steps are kept.

    Whoever turns failures into observations lets it through: the same work goes on later.
    """

    error_kind = "waiting"
    http_status = 409
    exit_status = 4

    def __init__(
        self, what: str, remedy: str = "", *, asked: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(what, remedy)
        self.asked = dict(asked or {})
        """The program, its language and what should be known of it: plain JSON values."""


class ProgramRefused(PythonCoderError):
    """The user does not want a program to be run; the request is over."""

    error_kind = "policy"
    http_status = 403


class RunCancelled(PythonCoderError):
    """Somebody who may ended the request from elsewhere, while it was worked on."""

    http_status = 499


class TaskFailed(PythonCoderError):
    """A task failed whose caller wanted values; ``error_kind`` says who must act."""

    def __init__(
        self, what: str, remedy: str = "", *, result: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(what, remedy)
        self.result = dict(result or {})
        """All that was reached: ``code``, ``output``, ``attempts``, ``usage``, ..."""
        self.error_kind = self.result.get("error_kind") or "program"
