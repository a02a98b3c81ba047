"""Entry point of the command ``neurobip``: the commands, and how errors end."""

from __future__ import annotations

import os
import sys

import typer

from neurobip.cli import convert, data, demo, evaluate, retina, stream, train, verify
from neurobip.errors import NeurobipError

app = typer.Typer(
    name="neurobip",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Retina-inspired spiking networks: train with local rules, measure, take to Lava.",
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("energy")(evaluate.energy)
app.command("stream")(stream.stream)
app.command("convert")(convert.convert)
app.command("verify")(verify.verify)
app.add_typer(data.app, name="data")
app.add_typer(retina.app, name="retina")
app.command("install-lava")(convert.install_lava)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    if version:
        from neurobip import __version__

        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and leave with its exit code.

    0: done. 1: done, and the answer is no (``verify`` found a mismatch). 2: bad input, named in one
    line. 130: interrupted.
    """
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        code = app(args=arguments, prog_name="neurobip", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except NeurobipError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("neurobip: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}")
    except Exception as error:
        # Typer's usage errors; their module differs between its versions.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            if type(error).__name__ == "NoArgsIsHelpError":
                print(error.format_message(), file=sys.stderr)
                return 2
            return _fail(f"{error.format_message()} (see neurobip --help)")
        raise


def _fail(message: str) -> int:
    print(f"neurobip: {' '.join(message.split())}", file=sys.stderr)
    return 2
