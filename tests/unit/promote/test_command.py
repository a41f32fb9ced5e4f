"""promote, demote and promotion-report as an operator types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.promotion import make

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`stillwave ...` in a folder of its own."""

    def run(*words: object, data: str = "home") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stillwave", *map(str, words)], check=False, capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "STILLWAVE_DATA_DIR": str(tmp_path / data)}, timeout=300,
        )  # fmt: skip

    return run


def test_a_proof_of_concept_is_promoted_and_taken_out_again(run: Run, tmp_path: Path) -> None:
    poc = tmp_path / "poc.db"
    make(poc, 30, dirt=0.05, sessions_each=3)
    planned = run("promote", "--from", poc, "--plan", "--json")
    assert (planned.returncode, planned.stderr) == (0, "")
    plan = json.loads(planned.stdout)
    assert [each["table"] for each in plan["tables"]] == ["users", "user_preferences", "sessions", "session_feedback"]
    assert [path.name for path in tmp_path.iterdir()] == ["poc.db"]  # nothing was made

    done = run("promote", "--from", poc, "--to", "home", "--report", "report.json", "--json")
    assert done.returncode == 3, done.stderr  # some rows are in the rejects
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["whole"]
    assert report["rejected"] == sum(each["rejected"] for each in plan["tables"])
    assert run("promotion-report", "report.json").returncode == 0
    (tmp_path / "report.json").write_text((tmp_path / "report.json").read_text().replace('"whole": true', '"whole": false'))
    assert run("promotion-report", "report.json").returncode == 1

    left = run("demote", "--to", "mine", "--person", "person1@example.org", "--quiet", "--report", "mine.html")
    assert (left.returncode, left.stdout) == (0, ""), left.stderr
    assert "Every row has arrived." in (tmp_path / "mine.html").read_text()
    listed = run("user", "list", data="mine")
    assert "person1@example.org" in listed.stdout
    assert "person2@example.org" not in listed.stdout
    assert (tmp_path / "mine" / "root.key").read_text() != (tmp_path / "home" / "root.key").read_text()


def test_a_stillwave_joins_another(run: Run, tmp_path: Path) -> None:
    for name, people in (("one", 3), ("two", 4)):
        make(tmp_path / f"{name}.db", people, dirt=0, sessions_each=2)
        assert run("promote", "--from", f"{name}.db", "--to", name, "--quiet").returncode == 0
    planned = run("promote", "--from", "two", "--to", "one", "--merge", "--plan", "--json")
    assert (planned.returncode, json.loads(planned.stdout)["joining"]) == (0, 3), planned.stderr
    assert run("promote", "--from", "two", "--to", "three", "--merge", "--plan", "--quiet").returncode == 0
    assert not (tmp_path / "three").exists()  # nothing was made
    refused = run("promote", "--from", "two", "--to", "one")
    assert (refused.returncode, "say --merge" in " ".join(refused.stderr.split())) == (1, True)
    joined = run("promote", "--from", "two", "--to", "one", "--merge", "--json")
    assert joined.returncode == 3, joined.stderr  # preferences there are kept aside
    steps = json.loads(joined.stdout)["steps"]
    assert (steps["users"]["merged"], steps["users"]["copied"]) == (3, 1)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--from", "gone.db", "--to", "x"), 78, "There is no file"), (("--from", "poc.db"), 1, "--to: is missing"),
        (("--from", "poc.db", "--to", "mysql://host/db"), 1, "unknown kind"),
        (("--from", "poc.db", "--to", "x", "--report", "report.doc"), 1, ".txt, .json or .html"),
        (("--from", "poc.db", "--to", "postgresql://nobody@127.0.0.1:1/x"), 69, "out of reach"),
    ],
)  # fmt: skip
def test_a_promotion_that_cannot_be_says_what_to_change(run: Run, tmp_path: Path, words: tuple[str, ...], status: int, told: str) -> None:
    make(tmp_path / "poc.db", 2, dirt=0)
    refused = run("promote", *words)
    assert refused.returncode == status
    assert told in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_a_stillwave_in_use_is_followed_and_switched_off(run: Run, tmp_path: Path) -> None:
    make(tmp_path / "poc.db", 12, dirt=0, sessions_each=2)
    refused = run("promote", "--from", "poc.db", "--to", "away", "--follow")
    assert (refused.returncode, "from its data folder" in " ".join(refused.stderr.split())) == (1, True)
    assert run("promote", "--from", "poc.db", "--to", "home", "--quiet").returncode == 0

    following = subprocess.Popen(
        [sys.executable, "-m", "stillwave", "promote", "--from", "home", "--to", "away", "--follow"], cwd=tmp_path,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "STILLWAVE_DATA_DIR": str(tmp_path / "home")},
    )  # fmt: skip
    assert following.stdout is not None
    assert following.stdout.readline().startswith("Following.")
    assert run("user", "disable", "person1@example.org").returncode == 0

    switched = run("promote", "--from", "home", "--to", "away", "--cut-over")
    assert switched.returncode == 0, switched.stderr
    assert "Nobody could write for" in switched.stdout
    assert "STILLWAVE_DATA_DIR=" in switched.stdout
    assert "The switch has begun elsewhere" in following.communicate(timeout=60)[0]
    assert following.returncode == 0
    assert "disabled" in next(line for line in run("user", "list", data="away").stdout.splitlines() if "person1@" in line)
    left = run("user", "enable", "person1@example.org")
    assert left.returncode == 78
    assert "stillwave.db.moved" in "".join(left.stderr.split())
