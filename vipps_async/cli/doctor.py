"""`vipps-async doctor`: prints the results of the diagnosis, one line for each check."""

from __future__ import annotations

import contextlib
import os

from vipps_async.apis import APIS, DEFAULT_API, IN_OTHER_CURRENCIES
from vipps_async.cli.commands import Command, Options
from vipps_async.cli.exit_status import ExitStatus, exit_statuses
from vipps_async.cli.journal_place import JournalPlace, add_place, place_of
from vipps_async.cli.options import add_allow_host, add_api
from vipps_async.cli.output import json_line, plain, show, wrapped
from vipps_async.diagnosis import CheckResult, CheckState, run_checks
from vipps_async.errors import ConfigurationError


def command() -> Command:
    """Make `doctor`."""
    made = Command(
        "doctor",
        _run,
        "check settings, host, certificate, clock, keys and journal",
        "Checks, one line each, all that a payment needs: the VIPPS_ variables (their names, never their "
        "values), the host and its certificate, the local clock, the keys, and whether an API opens to them. It only "
        f"reads: no money moves, and nothing is made. {exit_statuses('doctor')} In production nothing is "
        "sent to another host than Vipps' own, unless --allow-host names it.",
        examples=("doctor", "doctor --api epayment", "doctor --journal vipps-journal.db", "doctor --json"),
    )
    add_api(made)
    # A variable that names no API is a finding here.
    made.defaults(api=_api_of_environment)
    add_allow_host(made)
    # That of the other commands, by the same options and variables.
    add_place(made)
    made.option("--json", is_flag=True, help="all results as one JSON object")
    return made


async def _run(options: Options) -> int:
    results = []
    place = await _journal(options)
    diagnosis = run_checks(
        os.environ,
        api=options.api,
        journal=None if place is None else place.database or place.path,
        allowed_hosts=options.allow_host,
    )
    async with contextlib.aclosing(diagnosis) as checks:
        async for result in checks:
            results.append(result)
            if not options.json:
                show(_lines(result))
    if options.json:
        show(json_line(_object(results)))
    else:
        show(_summary(results))
    return ExitStatus.REFUSED if _count(results, CheckState.FAILED) else ExitStatus.DONE


def _api_of_environment() -> str | None:
    name = os.environ.get("VIPPS_API") or DEFAULT_API
    return name if name in {*APIS, *IN_OTHER_CURRENCIES} else None


async def _journal(options: Options) -> JournalPlace | None:
    """Return the journal that is looked at: the one that is named, else that of the other commands if it is there."""
    try:
        place = place_of(options)
    except ConfigurationError:
        # There is no such place, or the environment is none, which is told.
        return None
    is_looked_at = place.is_shared or options.journal is not None or await place.exists()
    return place if is_looked_at else None


def _count(results: list[CheckResult], state: CheckState) -> int:
    return sum(result.state is state for result in results)


def _is_sandbox(results: list[CheckResult]) -> bool:
    return any(result.facts.get("sandbox") is True for result in results)


def _lines(result: CheckResult) -> str:
    lines = [f"{result.state.value:<11}  {result.check:<11}  {wrapped(plain(result.text), 26)}"]
    if result.advice:
        # Wide, for commands that are copied.
        lines.append(f"{'':<13}-> {wrapped(plain(result.advice), 16)}")
    return "\n".join(lines)


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
