"""The command group, and the one place where a failure becomes a line and an exit status.

Exit status: 0 done, 1 the run failed, 2 the caller's mistake, 3 something is missing on the
machine, 4 a program waits for approval, 130 interrupted (128 + the signal's number for the others).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from backend.cli.output import error_document, fail, print_json, print_line, use_utf8
from backend.cli.signals import Stopped
from backend.errors import PythonCoderError
from backend.request_context import in_request

PROGRAM = "python-coder"

_COMMANDS = {
    "ask": "Ask a question in plain words, about your files too.",
    "code": "Have a program written, checked, run and repaired; no agent in between.",
    "run": "Run a program in the sandbox; no model is involved.",
    "runs": "Look at what was asked before, go on with it, or run its programs again.",
    "check": "Say what the static check has against a program.",
    "route": "Show which agent a question would go to, and why.",
    "doctor": "Look for what is missing on this machine, with the command that mends it.",
    "serve": "Answer over HTTP, as OpenAI's API does.",
    "backup": "Write everything a server keeps into one file, while it runs.",
    "restore": "Put a backup back into an empty place.",
    "audit": "Show which programs ran here, for whom, and what became of them.",
    "keys": "Make, list and revoke API keys of the server.",
    "demo": "See the main job end to end on real data, with a local model or without one.",
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"backend.cli.{cmd_name}"), "command")  # noqa: B009
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from backend.config.version import product_version

        click.echo(f"{PROGRAM} {product_version()}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def group() -> None:
    """A code interpreter for your own machine and your own local model.

    Ask in plain words; the answer comes from a program that was written, checked, run in a real
    sandbox and repaired when it fails, with its plots and files.
    """


def run_command(args: Sequence[str]) -> int:
    """Run a command line to its exit status; nothing is raised, no stack trace is shown."""
    use_utf8()
    try:
        return _run(list(args))
    except BrokenPipeError:
        # Whoever read our output has left; what is still buffered can be told to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(args: list[str]) -> int:
    options = args[: args.index("--")] if "--" in args else args
    as_json = "--json" in options
    try:
        with in_request(source=f"{PROGRAM} {args[0]}" if args else PROGRAM):
            status = group.main(args=args, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except click.ClickException as error:
        return fail(_spoken(error), status=2, as_json=as_json)
    except PythonCoderError as error:
        return fail(str(error), status=error.exit_status, kind=error.error_kind, as_json=as_json)
    except Stopped as stopped:
        return fail(str(stopped), status=stopped.exit_status, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return fail("Interrupted.", status=130, as_json=as_json)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _unexpected(error, as_json)


def _spoken(error: click.ClickException) -> str:
    """Click's message with the command whose help tells more."""
    message = error.format_message()
    ctx = getattr(error, "ctx", None)
    return f"{message} See `{ctx.command_path} --help`." if ctx is not None else message


def _unexpected(error: Exception, as_json: bool) -> int:
    """A fault of ours: one line all the same; the stack trace only for whoever asks for it."""
    what = f"{type(error).__name__}: {error}"
    if os.environ.get("PYTHON_CODER_LOG_LEVEL", "").lower() == "debug":
        import traceback

        traceback.print_exc()
    message = (
        f"Unexpected: {what}. This is a fault of python-coder itself; "
        "PYTHON_CODER_LOG_LEVEL=debug shows where."
    )
    if as_json:
        print_json(error_document(message, status=1))
    print_line(message)
    return 1
