"""What the command line says of itself: help with examples that can be typed, completion, and what to install."""

from __future__ import annotations

import importlib.util
import shlex
from importlib.machinery import ModuleSpec

import click
import pytest

from tests.support.rows import each_row
from vipps_async import __main__ as entry
from vipps_async.cli import main as cli
from vipps_async.cli.commands import Options

LEAVES = {
    "demo": (),
    "sandbox": (),
    "doctor": (),
    "payment": ("show", "capture", "refund", "cancel", "initiate", "approve"),
    "journal": (
        "list",
        "recover",
        "reconcile",
        "send",
        "drop",
        "rebind",
        "discard",
        "backup",
        "check",
        "prune",
        "erase",
    ),
    "batch": ("capture", "refund", "cancel", "submit", "work", "withdraw", "status", "report"),
    "webhooks": ("list", "register", "delete"),
}
PATHS = [(), *((name,) for name in LEAVES), *((name, leaf) for name, leaves in LEAVES.items() for leaf in leaves)]


def _help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.read_command_line(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


@each_row("path", PATHS, ids=" ".join)
def test_every_help_has_examples_that_can_be_typed(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each group and command; `help COMMAND` says the same; all of it fits 80 columns, examples, too."""
    monkeypatch.setenv("VIPPS_BATCH_DSN", "postgresql://shop:hush-hush@db/shop")
    shown = _help_of(capsys, *path, "--help")
    assert shown == _help_of(capsys, "help", *path)
    assert "hush" not in shown
    _, _, examples = shown.partition("\nExamples:\n")
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    lines = [shlex.split(line) for line in examples.replace("\\\n", "").splitlines()]
    assert lines
    for name, *arguments in lines:
        assert name == "vipps-async"
        if "help" in arguments or "--help" in arguments:
            _help_of(capsys, *arguments)
        else:
            assert arguments[: len(path)] == list(path)
            assert isinstance(cli.read_command_line(arguments), Options)


@pytest.mark.parametrize("api", ["ecom", "epayment"])
def test_the_example_of_a_new_payment_has_no_placeholder(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An amount, a text and addresses as they are typed, not the names of what is to be typed."""
    verb = {"ecom": "initiate", "epayment": "create"}[api]
    _, _, example = _help_of(capsys, "payment", verb, "--help", "--api", api).partition("\nExamples:\n")
    assert "--amount 499.00" in example
    assert not {"KRONER", "AMOUNT", "TEXT", "URL"} & set(example.split())


def test_what_only_reads_tells_no_exit_status_of_money(capsys: pytest.CaptureFixture[str]) -> None:
    """`payment show` asks nobody, sends nothing twice and leaves no outcome unknown: it names what it can end with."""
    shown = " ".join(_help_of(capsys, "payment", "show", "--help").split())
    assert "It moves no money. Exit status 0: done; 1: Vipps refused, or was not reached; 2:" in shown
    assert "you said no" not in shown
    assert "3: the outcome" not in shown


def test_every_group_is_looked_at() -> None:
    """The list above has all commands that there are."""
    context = click.Context(cli._whole())
    assert set(LEAVES) | {"help"} == set(cli._whole().list_commands(context))
    for name, leaves in LEAVES.items():
        made = cli._whole().get_command(context, name)
        assert made is not None
        found = made.make_context(name, [leaves[0]] if leaves else [], resilient_parsing=True)
        assert set(leaves) == set(made.list_commands(found) if isinstance(made, click.Group) else ())


def test_the_help_of_nothing_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """`help nonsense` ends with 2, and names it."""
    with pytest.raises(SystemExit) as ended:
        cli.read_command_line(["help", "nonsense"])
    assert ended.value.code == 2
    assert "No such command 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the documentation's line evaluates."""
    monkeypatch.setenv("_VIPPS_ASYNC_COMPLETE", f"{shell}_source")
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", staticmethod(lambda: None))
    assert "_VIPPS_ASYNC_COMPLETE" in _help_of(capsys)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("vipps-async pay", ["payment"]),
        ("vipps-async journal re", ["recover", "reconcile", "rebind"]),
        ("vipps-async payment show ", []),
        ("vipps-async payment capture order-1 --api epayment-", ["epayment-dkk", "epayment-eur"]),
        ("vipps-async payment capture order-1 --idem", ["--idempotency-key"]),
        ("vipps-async journal erase ", []),
        ("vipps-async batch capture orders.csv --format ", ["csv", "jsonl"]),
    ],
)
def test_what_is_completed(
    typed: str, offered: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, options and words; never the id of a payment."""
    monkeypatch.setenv("_VIPPS_ASYNC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    words = [line.partition(",")[2] for line in _help_of(capsys).splitlines() if line]
    assert words == offered


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_named(
    missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that says what to install, and status 2."""
    find = importlib.util.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == missing else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert entry.main() == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "the command line needs the extra 'cli'" in err
