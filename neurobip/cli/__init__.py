"""The command line, one file a group of commands."""

from neurobip.cli.main import main

__all__ = ["main"]
