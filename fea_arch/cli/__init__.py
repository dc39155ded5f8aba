"""The command line ``fea-arch``: one file per command, loaded when it is called.

The help of the whole program comes from a table, so that ``fea-arch --help`` imports neither numpy nor any analysis.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from fea_arch import __version__
from fea_arch.errors import ConvergenceError, FeaArchError, MissingExtraError, ProbeError

__all__ = [  # noqa: RUF022
    "BELOW_THE_BAR", "BAD_INPUT", "COMMANDS", "FAILED", "FINE", "INTERRUPTED", "below_the_bar", "main", "program",
]

FINE, BELOW_THE_BAR, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130

#: Commands in the order of the help, with one line each; the module is ``fea_arch.cli.<name>``.
COMMANDS: dict[str, str] = {
    "comprehensive": "Run every analysis and explain the answer.",
    "score": "Score the architecture between 0 and 100.",
    "check": "Check a description and say which parts run.",
    "static": "Answer how the system stands under its load.",
    "dynamic": "Follow bursts, load cases, periods and outages through time.",
    "modal": "Find what swings together, how damped, and if it is stable.",
    "nonlinear": "Raise the load to collapse and say what stays down.",
    "simulate": "Simulate every request and every call.",
    "measure": "Probe what a configuration names and write a measured architecture.",
    "watch": "Probe on a schedule, keep a history, serve metrics, raise events.",
    "sensitivity": "Say which parameter moves an answer, and how much.",
    "sweep": "Vary one or two parameters and tabulate the answer.",
    "reinforce": "Find the cheapest changes that reach a target.",
    "compare": "Compare two architectures and say what got weaker.",
    "mcp": "Serve the analyses as read-only MCP tools over stdio.",
    "report": "Write one page that explains the whole answer.",
    "schema": "Print the JSON Schema of a document.",
    "warm-up": "Compile the kernels once, so that later calls are quick.",
}


def below_the_bar(value: float, bar: float) -> str:
    """Return the line that says why ``--fail-under`` fails, with as many digits as it takes to see it.

    Examples
    --------
    >>> print(below_the_bar(98.2, 99.0), below_the_bar(99.9878, 99.99), sep=chr(10))
    fea-arch: 98.20 is below the bar of 99
    fea-arch: 99.988 is below the bar of 99.99
    """
    if value != value:
        return f"fea-arch: nothing is answered that could reach the bar of {bar:g}"
    digits = next((k for k in range(2, 15) if float(f"{value:.{k}f}") < bar), 15)
    return f"fea-arch: {value:.{digits}f} is below the bar of {bar:.15g}"


_EPILOG = """\b
Examples:
  fea-arch check                          the bundled platform
  fea-arch static docker-compose.yml      a file of your own, whatever its format
  fea-arch static --load-factor 5 --json  five times the load, as JSON
  fea-arch static --set orders.servers=16 what if

\b
Exit codes: 0 fine, 1 below the bar (--fail-under), 2 bad input or usage,
3 a probe or a solver failed, 130 interrupted.

\b
Shell completion: eval "$(_FEA_ARCH_COMPLETE=bash_source fea-arch)"
"""


class _ReaderGone(Exception):
    """The reader of our output is gone; click would otherwise end the program with its own exit code."""


class _Program(click.Group):
    """A group that imports a command when it is used."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            raise _ReaderGone from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGone from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f"fea_arch.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from fea_arch.errors import suggestion

            raise click.UsageError(f"No such command {args[0]!r}.{suggestion(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Program, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fea-arch")
def program() -> None:
    """Structural analysis of software architectures.

    How much more load will this system carry, what breaks first, and what should be strengthened? ARCH is any file
    that the library reads (traces, metrics, compose, Kubernetes, MCP and native documents); without it the bundled
    runbook platform is analysed.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` if left out.

    Raises
    ------
    SystemExit
        Always: 0 fine, 1 below the bar, 2 bad input or usage, 3 a probe or a solver failed, 130 interrupted.
    """
    with _rare_collections():
        code = _run(arguments)
    sys.exit(code)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles of objects only after many new ones.

    A short command makes tens of thousands, mostly by its imports, and would spend a tenth of its time looking.
    """
    usual = gc.get_threshold()
    if usual[0]:  # 0 means never
        gc.set_threshold(max(usual[0], 100_000), *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = program.main(None if arguments is None else list(arguments), "fea-arch", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else FINE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return BAD_INPUT
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except (BrokenPipeError, _ReaderGone):
        return _reader_gone()
    except FeaArchError as error:
        click.echo(f"fea-arch: {_one_line(error)}", err=True)
        return FAILED if isinstance(error, (ConvergenceError, ProbeError, MissingExtraError)) else BAD_INPUT
    except MemoryError:
        click.echo("fea-arch: not enough memory for this input", err=True)
        return FAILED


def _reader_gone() -> int:
    """Say nothing when the reader of our output is gone (head, less), and flush into nowhere at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return FINE


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return printable if len(printable) <= 2000 else printable[:2000] + " ..."
