"""The command line, one file a group of commands.

Nothing heavy is imported before a command runs, so that ``neurobip --help`` answers at once.
"""

from neurobip.cli.main import main

__all__ = ["main"]
