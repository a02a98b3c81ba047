"""``python -m neurobip.cli``."""

from neurobip.cli.main import main

main()
