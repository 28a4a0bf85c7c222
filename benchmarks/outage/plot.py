"""Draws the course of an outage: one picture for light pages and one for dark ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.outage.clients import CLIENTS
from benchmarks.outage.record import Row
from benchmarks.outage.scenario import Mode, Scenario

__all__ = ["draw"]

#: Colours that keep their contrast, and differ in lightness, on white and on near-black (after Okabe and Ito).
_LIGHT = {
    "ink": "#333333",
    "grid": "#dddddd",
    "down": "#f3d9d9",
    "short": "#f6efd5",
    "vipps_async": "#0062a3",
    "gentle": "#007a4d",
    "no_budget": "#3f9bd6",
    "until_deadline": "#b84a00",
    "no_retry": "#6d6d6d",
}
_DARK = {
    "ink": "#d6d6d6",
    "grid": "#3d3d3d",
    "down": "#4a2a2a",
    "short": "#423d22",
    "vipps_async": "#6ec1ff",
    "gentle": "#4fd6a0",
    "no_budget": "#3987bd",
    "until_deadline": "#ff9a4d",
    "no_retry": "#a8a8a8",
}
_STYLES = {"vipps_async": "-", "gentle": "-", "no_budget": "--", "until_deadline": "-", "no_retry": ":"}
#: These are drawn above the others.
_OURS = frozenset({"vipps_async", "gentle"})
#: What makes two runs write the same bytes: no date, no random ids; and text that stays text.
_REPEATABLE: Any = {"svg.hashsalt": "vipps_async", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}

_Panel = tuple[str, Callable[[Row, float], float]]
_PANELS: tuple[_Panel, ...] = (
    (
        "requests a second at Vipps",
        lambda row, seconds: (row.requests_web + row.requests_batch + row.requests_recovery) / seconds,
    ),
    ("orders captured a second", lambda row, seconds: row.effects / seconds),
    ("web calls under way", lambda row, _: row.in_flight),
    ("captures of unknown outcome", lambda row, _: row.unknown),
)


def draw(scenario: Scenario, courses: Mapping[str, Sequence[Row]], folder: Path) -> list[Path]:
    """Draw both pictures and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, colours in (("light", _LIGHT), ("dark", _DARK)):
        path = folder / f"outage-{name}.svg"
        with mpl.rc_context(_REPEATABLE):
            _figure(scenario, courses, colours).savefig(
                path, transparent=True, metadata={"Date": None, "Creator": None}
            )
        made.append(path)
    return made


def _figure(scenario: Scenario, courses: Mapping[str, Sequence[Row]], colours: Mapping[str, str]) -> Figure:
    figure = Figure(figsize=(8.2, 9.4), layout="constrained")
    panels: Any = figure.subplots(len(_PANELS), 1, sharex=True)
    for axes, (title, read) in zip(panels, _PANELS, strict=True):
        _panel(axes, title, scenario, colours)
        for client in CLIENTS:
            rows = courses[client.name]
            axes.plot(
                [(row.second + scenario.bin) / 60 for row in rows],
                [read(row, scenario.bin) for row in rows],
                color=colours[client.name],
                linestyle=_STYLES[client.name],
                linewidth=2.0 if client.name in _OURS else 1.2,
                zorder=3 if client.name in _OURS else 2,
                label=client.title.replace("`", ""),
            )
        # Room for the words above the lines.
        axes.set_ylim(0, axes.get_ylim()[1] * 1.15)
    panels[-1].set_xlabel("minutes", color=colours["ink"])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, labelcolor=colours["ink"])
    return figure


def _panel(axes: Axes, title: str, scenario: Scenario, colours: Mapping[str, str]) -> None:
    axes.set_title(title, loc="left", color=colours["ink"], fontsize=10)
    axes.set_xlim(0, scenario.duration / 60)
    axes.grid(visible=True, color=colours["grid"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours["ink"])
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(colours["ink"])
    whole = max(phase.capacity for phase in scenario.phases)
    ends = [*(phase.begins for phase in scenario.phases[1:]), scenario.duration]
    for phase, end in zip(scenario.phases, ends, strict=True):
        if phase.mode is Mode.WORKING and phase.capacity == whole:
            continue
        word = phase.mode.value if phase.mode is not Mode.WORKING else f"{phase.capacity:g} a second"
        colour = colours["down" if phase.mode is not Mode.WORKING else "short"]
        axes.axvspan(phase.begins / 60, end / 60, color=colour, linewidth=0, zorder=0)
        middle = (phase.begins + end) / 120
        axes.annotate(
            word,
            (middle, 0.93),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="top",
            color=colours["ink"],
            fontsize=8,
        )
