"""`python -m vipps_async` does what the command `vipps-async` does."""

from __future__ import annotations

import sys

from vipps_async.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
