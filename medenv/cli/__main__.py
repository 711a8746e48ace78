"""`python -m medenv.cli` is the command `medenv`."""

from medenv.cli.main import main

main()
