"""`vipps-async doctor`: prints the results of the diagnosis, one line for each check."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from vipps_async.cli.options import Commands, add_api
from vipps_async.cli.output import json_line, plain, show
from vipps_async.diagnosis import CheckResult, CheckState, run_checks

__all__ = ["add_command"]

#: Exit statuses: nothing failed, something did.
_WELL, _NOT_WELL = 0, 1


def add_command(commands: Commands) -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="check settings, host, certificate, clock, keys and journal",
        description="Checks, one line each, all that a payment needs: the VIPPS_ variables (their names, never their "
        "values), the host and its certificate, the local clock, the keys, and whether an API opens to them. It only "
        "reads: no money moves, and nothing is made. Exit status 0: nothing failed (there may be warnings); 1: "
        "something failed; 2: wrong use.",
    )
    add_api(parser)
    parser.add_argument("--journal", type=Path, metavar="FILE", help="look at this journal file as well")
    parser.add_argument("--json", action="store_true", help="all results as one JSON object")
    parser.set_defaults(run=_run)


async def _run(options: argparse.Namespace) -> int:
    results = []
    async with contextlib.aclosing(run_checks(os.environ, api=options.api, journal=options.journal)) as checks:
        async for result in checks:
            results.append(result)
            if not options.json:
                show(_lines(result))
    if options.json:
        show(json_line(_object(results)))
    else:
        show(_summary(results))
    return _NOT_WELL if _count(results, CheckState.FAILED) else _WELL


def _count(results: list[CheckResult], state: CheckState) -> int:
    return sum(result.state is state for result in results)


def _is_sandbox(results: list[CheckResult]) -> bool:
    return any(result.facts.get("sandbox") is True for result in results)


def _lines(result: CheckResult) -> str:
    head = f"{result.state.value:<11}  {result.check:<11}  {plain(result.text)}"
    return f"{head}\n{'':<11}  {'':<11}  -> {plain(result.advice)}" if result.advice else head


def _summary(results: list[CheckResult]) -> str:
    failed, warned = _count(results, CheckState.FAILED), _count(results, CheckState.WARNING)
    text = f"{failed} failed, {warned} to look at." if failed or warned else "All is well."
    return f"{text} This was the embedded sandbox, not Vipps." if _is_sandbox(results) else text


def _object(results: list[CheckResult]) -> dict[str, object]:
    return {
        "ok": not _count(results, CheckState.FAILED),
        "sandbox": _is_sandbox(results),
        "checks": [
            {
                "check": result.check,
                "state": result.state.value.replace(" ", "_"),
                "text": result.text,
                "advice": result.advice or None,
                **result.facts,
            }
            for result in results
        ],
    }
