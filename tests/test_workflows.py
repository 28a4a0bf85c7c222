"""The forge runs what `.ci/run` runs, with actions that stand still and no more rights than it needs."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
CI = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
#: A session as it is named to nox, with its Python, if it has one of several.
_SESSION = re.compile(r"([a-z]+(?:-check)?)(?:-(?:3\.\d+|\$.*))?;?")


def _sessions_in(text: str) -> set[str]:
    found = set()
    for words in re.findall(r"\bnox\b[^\n]*? -s (.*)", text):
        names = itertools.takewhile(bool, map(_SESSION.fullmatch, words.split()))
        found |= {name[1] for name in names if name}
    return found


def _commands(workflow: dict[str, Any]) -> str:
    lines = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    rows = [
        row for job in workflow["jobs"].values() for row in job.get("strategy", {}).get("matrix", {}).get("include", ())
    ]
    return "\n".join([*lines, *(f"nox -s {row['session']}" for row in rows)])


def test_the_forge_runs_each_session_that_ci_runs() -> None:
    """A session that `.ci/run` calls is called by a job, too, and each one exists in the noxfile."""
    noxfile = (PROJECT / "noxfile.py").read_text("utf-8")
    there = set(re.findall(r"^@nox\.session.*\ndef (\w+)", noxfile, re.MULTILINE))
    # Words that follow a session in a line of the shell are none. What is left to the matrix of Pythons is no job.
    here = _sessions_in((PROJECT / ".ci" / "run").read_text("utf-8").replace('"', "")) & there - {
        "tests",
        "interpreter",
    }
    forge = _sessions_in(_commands(CI))
    assert {"lint", "types", "docs", "build"} <= here
    assert here - forge == set()
    assert "python -m pip install nox && nox\n" in _commands(CI) + "\n"
    assert forge <= there


def test_the_forge_tests_each_python_of_the_classifiers() -> None:
    """The matrix has the Pythons that the package says it runs on."""
    project = (PROJECT / "pyproject.toml").read_text("utf-8")
    pythons = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert CI["jobs"]["tests"]["strategy"]["matrix"]["python"] == pythons


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_ends_by_itself(path: Path) -> None:
    """Each workflow reads the repository and no more, keeps no token, pins actions to commits, and has limits."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 40
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"]) if "uses" in step else "run" in step
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
