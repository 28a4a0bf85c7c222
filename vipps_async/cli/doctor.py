"""`vipps-async doctor`: prints what the diagnosis finds, one line for each check."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from vipps_async.cli.output import plain, show
from vipps_async.diagnosis import Finding, State, examine

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

#: Exit statuses: nothing failed, something did.
_WELL, _NOT_WELL = 0, 1


def add_command(commands: Commands) -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="check settings, host, certificate, clock, keys and journal",
        description="Checks, one line each, all that a payment needs: the VIPPS_ variables (their names, never their "
        "values), the host and its certificate, the local clock, the keys, the sales unit. It only reads: no money "
        "moves, and nothing is made. Exit status 0: nothing failed (there may be warnings); 1: something failed; "
        "2: wrong use.",
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="look at this journal file as well")
    parser.add_argument("--json", action="store_true", help="all findings as one JSON object")
    parser.set_defaults(run=_run)


async def _run(options: argparse.Namespace) -> int:
    findings = []
    async with contextlib.aclosing(examine(os.environ, journal=options.journal)) as checks:
        async for finding in checks:
            findings.append(finding)
            if not options.json:
                show(_lines(finding))
    if options.json:
        show(orjson.dumps(_object(findings)).decode())
    else:
        show(_summary(findings))
    return _NOT_WELL if _count(findings, State.FAILED) else _WELL


def _count(findings: list[Finding], state: State) -> int:
    return sum(finding.state is state for finding in findings)


def _is_sandbox(findings: list[Finding]) -> bool:
    return any(finding.facts.get("sandbox") is True for finding in findings)


def _lines(finding: Finding) -> str:
    head = f"{finding.state.value:<11}  {finding.check:<11}  {plain(finding.text)}"
    return f"{head}\n{'':<11}  {'':<11}  -> {plain(finding.advice)}" if finding.advice else head


def _summary(findings: list[Finding]) -> str:
    failed, warned = _count(findings, State.FAILED), _count(findings, State.WARNING)
    text = f"{failed} failed, {warned} to look at." if failed or warned else "All is well."
    return f"{text} This was the embedded sandbox, not Vipps." if _is_sandbox(findings) else text


def _object(findings: list[Finding]) -> dict[str, object]:
    return {
        "ok": not _count(findings, State.FAILED),
        "sandbox": _is_sandbox(findings),
        "checks": [
            {
                "check": finding.check,
                "state": finding.state.value.replace(" ", "_"),
                "text": finding.text,
                "advice": finding.advice or None,
                **finding.facts,
            }
            for finding in findings
        ],
    }
