"""Programs that ran: what became of them, and the walls they ran in."""

from __future__ import annotations

from typing import Any, Literal

from backend.api.shapes.base import Shape
from backend.types import Severity, StoppedBy


class IsolationShape(Shape):
    """The walls that stood around a program; never what was merely asked for."""

    executor: str
    """Which executor ran it."""
    tier: Literal["A", "B", "C"]
    """`A`: every wall and a cgroup. `B`: every wall, limits without a cgroup. `C`: no namespaces."""
    walls: list[str]
    """Their names."""


class IssueShape(Shape):
    """Something the static check has to say about a program."""

    kind: str
    """A short class: `syntax`, `blocked_import`, `blocked_call`, ..."""
    message: str
    """What is wrong and what to write instead."""
    line: int | None
    """From 1; null where the whole program is meant."""
    severity: Severity
    """`error` and `security` keep it from being run; `advice` does not."""


class FrameShape(Shape):
    """One of a program's own frames when it failed."""

    line: int
    """From 1."""
    function: str
    """`<module>` outside of every function."""
    source: str
    """The line's text."""
    variables: dict[str, str]
    """Name -> short description of its value; those that the line speaks of come first."""


class FailureShape(Shape):
    """The exception that ended a program, as the program's process tells it."""

    type: str
    """The exception's class, with the module of a library's."""
    message: str
    """Its words."""
    frames: list[FrameShape]
    """The program's own, outermost first; none of a library."""


class ArtifactShape(Shape):
    """A file that a program wrote or a figure that it left; it is kept as a file of the owner's."""

    id: str
    """The file's id, for `/v1/files/{file_id}`."""
    name: str
    """Relative to the program's working directory, with forward slashes."""
    media_type: str
    """What it is."""
    size: int
    """Bytes."""
    url: str
    """A signed link to its bytes that a browser can open without a key, for a week."""


class ExecutedArtifact(ArtifactShape):
    """The same, of `/v1/execute`: small ones with their bytes."""

    content: str | None
    """The bytes in base64; null of more than 256 KiB, which `url` has."""


class ExecutionShape(Shape):
    """What became of a program. That it failed is told here, with status 200."""

    success: bool
    """It ended by itself with exit status 0."""
    returncode: int | None
    """Exit status; negative for the signal that ended it; null if it never ran."""
    stdout: str
    """What it printed."""
    stderr: str
    """What it printed there."""
    stopped_by: StoppedBy | None
    """The limit that ended it, as seen from outside the program."""
    duration_s: float
    """Seconds from handing the program over to its end."""
    value: str | None
    """The last expression's `repr`, where there is one and it is not `None`."""
    html: str | None
    """The same as HTML, where it has such a form: untrusted markup, to be shown in a sandbox."""
    charts: list[dict[str, Any]]
    """What each figure shows: type, title, axes, series."""
    failure: FailureShape | None
    """The exception that ended it, where a Python program told of one."""
    artifacts: list[ExecutedArtifact]
    """The files it wrote and the figures it left."""
    truncated: list[str]
    """What was cut to its cap: any of `stdout`, `stderr`, `artifacts`."""
    isolation: IsolationShape | None
    """The walls around it; null only when nothing was run."""
    issues: list[IssueShape]
    """What the static check found; a program refused by it was not run."""
    notes: list[str]
    """Sentences for the reader: files left behind by a cap, which limit to raise, ..."""
    session_id: str | None
    """The session it ran in."""
