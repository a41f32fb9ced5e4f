"""`python -m stillwave` is `stillwave`."""

from stillwave.cli import main

main()
