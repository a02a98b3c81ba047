"""Entry point of the command ``neurobip``."""

from __future__ import annotations

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def root() -> None:
    """Retina-inspired spiking networks: train, measure, take to Lava."""


@app.command("install-lava")
def install_lava() -> None:
    """Install Lava into this Python environment."""
    from neurobip.converters.lava.install import install

    typer.echo(install(lambda line: typer.echo(line, err=True)))


def main() -> None:
    app()
