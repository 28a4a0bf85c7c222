"""The page of the switches: what shall go wrong, and what time it is."""

from __future__ import annotations

from datetime import datetime

from vipps_async.sandbox.network.faults import FAULT_OPERATIONS, Fault, Faults
from vipps_async.sandbox.pages.layout import moment
from vipps_async.sandbox.pages.markup import Html, Part, foreign, tag

__all__ = ["CLOCK_STEPS", "CLOCK_UNITS", "SWITCHES_PATH", "switches_content"]

SWITCHES_PATH = "/sandbox/switches"

#: Unit → seconds.
CLOCK_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
#: What a button does: its label → how many of which unit. The limits of the API, each a little exceeded.
CLOCK_STEPS: dict[str, tuple[int, str]] = {
    "1 minute": (1, "minutes"),
    "5 minutes (a link runs out)": (5, "minutes"),
    "1 hour (a token expires)": (1, "hours"),
    "1 day": (1, "days"),
    "8 days (personal data go)": (8, "days"),
    "181 days (captures end)": (181, "days"),
    "366 days (refunds end)": (366, "days"),
}


def switches_content(faults: Faults, now: datetime, *, problem: str = "") -> list[Part]:
    """Return the content of the page; `problem` says what was wrong with the last form."""
    return [
        tag("h1", "Faults and clock"),
        tag("p", problem, class_="wrong", role="alert") if problem else None,
        tag("section", tag("h2", "Clock"), _clock(now), aria_label="Clock", class_="panel"),
        tag(
            "section",
            tag("h2", "What goes wrong now"),
            _now(faults),
            tag(
                "form",
                tag("button", "Let nothing fail", id="do-clear"),
                method="post",
                action=f"{SWITCHES_PATH}/clear",
            ),
            aria_label="What goes wrong now",
            class_="panel",
        ),
        tag(
            "div",
            tag(
                "section",
                tag("h2", "The next requests"),
                _script_form(),
                aria_label="The next requests",
                class_="panel",
            ),
            tag("section", tag("h2", "By chance"), _chance_form(faults), aria_label="By chance", class_="panel"),
            class_="columns",
        ),
    ]


def _clock(now: datetime) -> Html:
    return tag(
        "div",
        tag("p", tag("span", moment(now), " UTC", id="time", data_live=True), class_="big"),
        tag("p", "It runs, and only forwards. Everything goes by it: links, tokens, limits, age.", class_="help"),
        tag(
            "form",
            [tag("button", f"+ {label}", name="step", value=label) for label in CLOCK_STEPS],
            method="post",
            action=f"{SWITCHES_PATH}/clock",
            class_="buttons",
        ),
        tag(
            "form",
            tag("label", "Advance by", for_="count"),
            tag(
                "input", id="count", name="count", type="number", min=0, max=36_500, step="any", value=1, required=True
            ),
            tag("label", "Unit", for_="unit", class_="hidden"),
            tag(
                "select", [tag("option", unit, selected=unit == "days") for unit in CLOCK_UNITS], id="unit", name="unit"
            ),
            tag("button", "Advance"),
            method="post",
            action=f"{SWITCHES_PATH}/clock",
            class_="inline",
        ),
    )


def _now(faults: Faults) -> Html:
    lines: list[Html] = []
    randomness = faults.randomness
    if randomness is not None:
        where = "everywhere" if len(randomness.operations) == len(FAULT_OPERATIONS) else _words(randomness.operations)
        lines.append(
            tag("li", f"{randomness.rate:.1%} of the requests fail by chance, {where}, with seed {randomness.seed}.")
        )
    for (operation, order_id), script in faults.scripts.items():
        whose = tag("span", " for order ", tag("code", foreign(order_id))) if order_id else None
        names = ", ".join("pass" if fault is None else fault.value for fault in script[:10])
        more = f" and {len(script) - 10} more" if len(script) > 10 else ""
        lines.append(tag("li", tag("strong", operation), whose, f": {names}{more}"))
    counts = sorted(faults.counts.items(), key=lambda pair: (-pair[1], pair[0].value))
    return tag(
        "div",
        tag("ul", lines) if lines else tag("p", "Nothing.", class_="help"),
        tag(
            "table",
            tag("caption", "Faults so far"),
            tag("thead", tag("tr", tag("th", "Fault", scope="col"), tag("th", "Times", scope="col", class_="money"))),
            tag(
                "tbody",
                [tag("tr", tag("td", fault.value), tag("td", count, class_="money")) for fault, count in counts],
            ),
            class_="small",
        )
        if counts
        else None,
        id="faults",
        data_live=True,
    )


def _words(words: frozenset[str]) -> str:
    return "at " + ", ".join(sorted(words))


def _script_form() -> Html:
    return tag(
        "form",
        tag("label", "Operation", for_="operation"),
        tag("select", [tag("option", name) for name in FAULT_OPERATIONS], id="operation", name="operation"),
        tag("label", "Fault", for_="fault"),
        tag("select", [tag("option", fault.value) for fault in Fault], id="fault", name="fault"),
        tag("label", "How often", for_="times"),
        tag("input", id="times", name="times", type="number", min=1, max=1_000, value=1, required=True),
        tag("label", "Only for order (may stay empty)", for_="order"),
        tag("input", id="order", name="order", maxlength=50),
        tag("p", "BEFORE: the request has no effect. AFTER: it has, and the answer gets lost.", class_="help"),
        tag("button", "Script it", class_="primary"),
        method="post",
        action=f"{SWITCHES_PATH}/script",
        class_="stack",
    )


def _chance_form(faults: Faults) -> Html:
    randomness = faults.randomness
    return tag(
        "form",
        tag("label", "Per cent of the requests", for_="rate"),
        tag(
            "input",
            id="rate",
            name="rate",
            type="number",
            min=0,
            max=100,
            step="any",
            value="10" if randomness is None else f"{randomness.rate * 100:g}",
            required=True,
        ),
        tag("label", "Seed: the same one replays the same faults", for_="seed"),
        tag(
            "input",
            id="seed",
            name="seed",
            type="number",
            value=1 if randomness is None else randomness.seed,
            required=True,
        ),
        _boxes("operations", "Where (none chosen: everywhere)", FAULT_OPERATIONS),
        _boxes("kinds", "What (none chosen: all but refused connections)", [fault.value for fault in Fault]),
        tag("button", "Let them fail", class_="primary"),
        method="post",
        action=f"{SWITCHES_PATH}/randomise",
        class_="stack",
    )


def _boxes(name: str, legend: str, words: list[str] | tuple[str, ...]) -> Html:
    boxes = [tag("label", tag("input", type="checkbox", name=name, value=word), word) for word in words]
    return tag(
        "details",
        tag("summary", legend),
        tag("fieldset", tag("legend", legend, class_="hidden"), boxes, class_="boxes"),
    )
