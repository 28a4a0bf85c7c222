"""The forge runs what `.ci/run` runs, with actions that stand still and no more rights than it needs."""

from __future__ import annotations

import importlib.util
import itertools
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
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


# -- a release --------------------------------------------------------------------------------------------------------


def _release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", PROJECT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RELEASE = _release()
URLS = dict.fromkeys(RELEASE.URLS, "https://forge.example/vipps-async")


@pytest.mark.parametrize(
    ("version", "tags", "compared"),
    [
        ("0.1.0", ["v0.1.0rc1", "v0.1.0"], None),
        ("0.2.0", ["v0.2.0", "v0.2.0rc1", "v0.1.0", "v0.1.0rc1"], "v0.1.0"),
        ("0.10.0", ["v0.10.0", "v0.9.1", "v0.2.0"], "v0.9.1"),
        ("1.2.1", ["v1.3.0", "v1.2.0", "v1.2.1", "vnext"], "v1.2.0"),
        ("1.0.0rc2", ["v1.0.0rc1", "v1.0.0rc2", "v0.9.0"], "v0.9.0"),
    ],
)
def test_a_version_is_compared_with_the_release_before_it(version: str, tags: list[str], compared: str | None) -> None:
    """Never with its own tag, which is there already when the forge runs, nor with a version before its release."""
    assert RELEASE.compared_with(version, tags) == compared


def test_only_a_new_major_version_may_break_programs() -> None:
    """Before 1.0 a minor one may; it follows from the numbers, as a pushed tag can say nothing more."""
    assert RELEASE.may_break("2.0.0", "v1.9.0")
    assert RELEASE.may_break("0.2.0", "v0.1.3")
    assert not RELEASE.may_break("0.1.4", "v0.1.3")
    assert not RELEASE.may_break("1.3.0", "v1.2.0")


def test_the_changelog_is_about_the_version() -> None:
    """Another version's section, or an empty one, is no release note."""
    changelog = "# Changes\n\n## 0.2.0 (2026-01-31)\n\n- Both.\n\n## 0.1.0 (2025-01-31)\n\n- One.\n"
    assert RELEASE.note_of(changelog, "0.2.0") == ("0.2.0 (2026-01-31)", "- Both.\n")
    for version in ("0.2", "0.1.0", "0.2.00"):
        with pytest.raises(ValueError, match="newest section is about"):
            RELEASE.note_of(changelog, version)


@pytest.mark.parametrize(
    ("head", "urls", "security", "said"),
    [
        ("0.1.0 (2026-01-31)", URLS, "Tell it at https://forge.example/vipps-async.", []),
        ("0.1.0 (unreleased)", URLS, "https://forge.example/vipps-async", ["CHANGELOG.md"]),
        ("0.1.0 (2026-01-31)", {}, "", ["pyproject.toml"]),
        ("0.1.0 (2026-01-31)", URLS | {"Security": "ask"}, "ask", ["pyproject.toml"]),
        ("0.1.0 (2026-01-31)", URLS, "Tell it in private.", ["SECURITY.md"]),
    ],
)
def test_what_a_tag_must_have(head: str, urls: dict[str, str], security: str, said: list[str]) -> None:
    """A date, addresses in the package's metadata, and the one where a hole is told, are asked for by name."""
    found = RELEASE.missing("0.1.0", head, {"project": {"urls": urls}}, security)
    assert [each.partition(":")[0] for each in found] == said


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--tag", "v9.9.9"], 1)])
def test_what_is_missing_is_said_and_fails_on_a_tag(tmp_path: Path, arguments: list[str], status: int) -> None:
    """Without a tag the same is a warning, so that it can be tried at any time; a tag of another version fails."""
    if not (PROJECT / ".git").exists():
        pytest.skip("no repository: what is unpacked from an sdist has no tags")
    version = re.findall(r'"(.+)"', (PROJECT / "vipps_async" / "_version.py").read_text("utf-8"))[-1]
    note = tmp_path / "note.md"
    command = [sys.executable, str(PROJECT / ".ci" / "release.py"), version, str(note), *arguments]
    finished = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == status, finished.stderr
    assert note.read_text("utf-8").startswith("- ")
    assert ("the tag is v9.9.9" in finished.stderr) == bool(arguments)


def test_the_forge_holds_a_tag_to_its_rules() -> None:
    """What runs on a pushed tag names it; no text of it stands in the script itself."""
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "release-check.yml").read_text("utf-8"))
    commands = _commands(workflow)
    assert 'nox -s release-check -- --tag "$GITHUB_REF_NAME"' in commands
    assert "${{" not in commands
