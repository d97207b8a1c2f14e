"""``python3 -m reactor``: the same door as the command ``reactor``.

What is behind it is ``reactor.cli.main``; this file is all that it takes to be run as a module.
"""

from __future__ import annotations

import sys

from reactor.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
