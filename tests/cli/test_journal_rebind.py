"""`vipps-async journal rebind`: only to a Vipps that knows what is done in the journal."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.open_captures import damage, leave_open
from tests.cli.processes import Finished
from tests.cli.shell import at_terminal, env
from vipps_async.sandbox import SandboxServer
from vipps_async.testing import Sandbox

CAPTURE = ("payment", "capture", "order-1", "--text", "Shipped.", "--amount", "100.00")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


async def command(sandbox: SandboxServer, path: Path, *arguments: str, **further: str) -> Finished:
    """Run a command with this journal."""
    return await inline(*arguments, "--journal", str(path), "--wait", "0", env=env(sandbox, **further))


@pytest.mark.parametrize("kind", ["batch", "dry run", "recover"])
async def test_what_is_in_a_journal_of_another_vipps_is_not_told(path: Path, kind: str) -> None:
    """It is refused before anything of it is named: what is open there concerns nobody here."""
    async with Sandbox(rate_limits=False) as first, Sandbox(rate_limits=False) as second:
        stock_one(first, "order-1", 49_900)
        assert (await command(first, path, *CAPTURE)).status == 0
        await leave_open(path, "lost", payment="order-7")
        await leave_open(path, "unread", payment="order-8")
        damage(path, "unread")
        file = path.with_name("rows.csv")
        file.write_text("order_id,amount_ore,transaction_text\norder-1,100,x\n")
        batch = ("batch", "capture", str(file), *(["--dry-run"] if kind == "dry run" else []))
        refused = await command(second, path, *(("journal", "recover") if kind == "recover" else batch))
    assert (refused.status, "has the facts of another Vipps" in refused.err) == (2, True), refused.err
    assert "order-7" not in refused.err
    assert "order-8" not in refused.err


async def test_a_sandbox_started_anew_is_another_world(path: Path) -> None:
    """The journal of the first is refused by the second at the same port, and is not bound to it: it knows no order."""
    async with Sandbox(rate_limits=False) as first:
        stock_one(first, "order-1", 49_900)
        assert (await command(first, path, *CAPTURE)).status == 0
        url = first.url
        port = urlsplit(url).port
        assert port is not None
        same = await command(first, path, "journal", "rebind", "--yes")
        assert (same.status, "Nothing is to be changed" in same.out) == (0, True)
    async with SandboxServer(port=port, rate_limits=False) as second:
        assert second.url == url
        refused = await command(second, path, *CAPTURE)
        assert (refused.status, "has the facts of another Vipps" in refused.err) == (2, True)
        unknown = await command(second, path, "journal", "rebind", "--yes")
        assert unknown.status == 7
        assert f"The journal has the facts of test at 127.0.0.1:{port} (sandbox " in unknown.err
        assert f"The VIPPS_ variables lead to test at 127.0.0.1:{port} (sandbox " in unknown.err
        assert "0 operations are open in it" in unknown.err
        assert "Vipps does not know the payment" in unknown.err
        # The same order id is no proof: its history there lacks the key.
        stock_one(second, "order-1", 49_900)
        other = await command(second, path, "journal", "rebind", "--yes")
        assert (other.status, "the payment's history there lacks" in other.err) == (7, True)
        assert (await command(second, path, *CAPTURE)).status == 2
        assert second.payment("order-1").captured == 0


async def test_a_vipps_that_knows_what_was_done(path: Path, tmp_path: Path) -> None:
    """The same payments under another instance: bound by --yes, and then the journal can be used there."""
    async with Sandbox(rate_limits=False) as first:
        stock_one(first, "order-1", 49_900)
        done = await command(first, path, *CAPTURE, "--idempotency-key", "cap-1")
        assert done.status == 0
    async with Sandbox(rate_limits=False) as second:
        stock_one(second, "order-1", 49_900)
        assert (await inline(*CAPTURE, "--idempotency-key", "cap-1", env=env(second))).status == 0
        asked = await command(second, path, "journal", "rebind")
        assert (asked.status, "or give --yes. Nothing was changed." in asked.err) == (2, True)
        assert (await command(second, path, *CAPTURE)).status == 2
        arguments = ("journal", "rebind", "--journal", str(path))
        refused = await inline(*arguments, env=env(second), typed=("no",))
        assert refused.status == 1
        assert f"Bind the journal to test at {urlsplit(second.url).netloc} (sandbox " in refused.err
        async with at_terminal(second, *arguments) as terminal:
            await terminal.until('Type "yes": ')
            terminal.interrupt()
            ended = await terminal.end()
            assert (ended.status, ended.err.splitlines()[-1]) == (130, "Nothing was changed.")
        bound = await command(second, path, "journal", "rebind", "--yes")
        assert bound.status == 0, bound.err
        assert bound.out.startswith("bound to test at 127.0.0.1:")
        assert (await command(second, path, *CAPTURE, "--idempotency-key", "cap-2")).status == 0
        assert second.payment("order-1").captured == 20_000


async def test_what_cannot_be_compared_is_not_bound(path: Path) -> None:
    """Nothing is done in it, or details do not answer: the journal stays as it is."""
    async with Sandbox(rate_limits=False) as first:
        stock_one(first, "order-1", 49_900)
        assert (await command(first, path, "payment", "capture", "order-2", "--all", "--text", "x")).status == 1
    async with Sandbox(rate_limits=False) as second:
        nothing = await command(second, path, "journal", "rebind", "--yes")
        assert (nothing.status, "nothing shows that it is the same Vipps" in nothing.err) == (7, True)
        away = await command(second, path, "journal", "rebind", "--yes", VIPPS_BASE_URL="http://127.0.0.1:9")
        assert (away.status, "does not answer" in away.err) == (2, True)


async def test_a_cancel_has_no_key_but_its_order_is_known(path: Path) -> None:
    """Where no capture or refund is done, the order itself is asked for."""
    async with Sandbox(rate_limits=False) as first, Sandbox(rate_limits=False) as second:
        stock_one(first, "order-1", 49_900)
        assert (await command(first, path, "payment", "cancel", "order-1", "--text", "No.")).status == 0
        assert (await command(second, path, "journal", "rebind", "--yes")).status == 7
        stock_one(second, "order-1", 49_900)
        assert (await command(second, path, "journal", "rebind", "--yes")).status == 0
