"""``python -m sojourn.hosts.cli``: the command line without its console script."""

from __future__ import annotations

from sojourn.hosts.cli.main import main

if __name__ == "__main__":
    main()
