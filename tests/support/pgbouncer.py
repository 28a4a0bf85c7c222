"""A real PgBouncer in front of the test's database, where one is installed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.missing import skip_without

#: Seconds in which it must be there.
_PATIENCE = 20.0

_CONFIG = """
[databases]
* = {place} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
server_round_robin = 1
"""


@contextlib.asynccontextmanager
async def pgbouncer(dsn: str, *, mode: str, size: int) -> AsyncIterator[str]:
    """Start one with its defaults but for the mode and the number of its connections; gives the DSN that leads to it.

    Skips the test where there is none.
    """
    program = shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if program is None:
        skip_without("pgbouncer", "there is no PgBouncer to test with")
    given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value}
    host, user = given.get("host", ""), given.get("user", "")
    place = " ".join(f"{name}={given[name]}" for name in ("host", "port", "password") if name in given)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="vipps-pgbouncer-"))
    try:
        config = folder / "pgbouncer.ini"
        config.write_text(_CONFIG.format(place=place, user=user, port=port, mode=mode, size=size))
        # It refuses to run as root, and the server's socket may be its own user's alone.
        owner = os.stat(host).st_uid if host.startswith("/") else pwd.getpwnam("nobody").pw_uid  # noqa: PTH116
        arguments = ["-u", pwd.getpwuid(owner).pw_name] if os.geteuid() == 0 else []
        if arguments:
            os.chown(folder, owner, -1)
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(program, *arguments, str(config), stdout=log, stderr=log)
        try:
            there = make_conninfo(host="127.0.0.1", port=port, dbname=given.get("dbname", "postgres"), user=user)
            await _until_it_answers(process, there, folder / "log")
            yield there
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _until_it_answers(process: asyncio.subprocess.Process, dsn: str, log: Path) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            assert process.returncode is None, f"it has ended: see {log}"
            try:
                connection = await psycopg.AsyncConnection.connect(dsn)
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)
            else:
                await connection.close()
                return
