"""``python3 -m reactor``: the same door as the command ``reactor``.

Read next: ``reactor.cli.main``.
"""

from __future__ import annotations

import sys

from reactor.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
