"""The command `vipps-async`, also as `python -m vipps_async`: says what to install where its extra is missing."""

from __future__ import annotations

import importlib.util
import sys

from vipps_async.extras import text_for_missing

#: What the extra `cli` brings.
_LIBRARIES = ("click", "rich")


def main() -> int:
    """Run the command line and return its exit status: 2 if the libraries that it stands on are not installed."""
    if not all(map(importlib.util.find_spec, _LIBRARIES)):
        print(f"vipps-async: {text_for_missing('the command line', 'cli')}", file=sys.stderr)  # noqa: T201 - the command's own output
        return 2
    from vipps_async.cli.main import main as run  # noqa: PLC0415 - needs the extra

    return run()


if __name__ == "__main__":
    sys.exit(main())
