"""Documents say what is: the generated one is fresh, names exist, records are short."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stillwave.db import records, tables

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs/decisions").glob("*.md"))


def test_the_data_model_is_fresh():
    written = (ROOT / "docs/data-model.md").read_text()
    assert written == tables.data_model(), "run `make data-model`"


def test_the_records_of_processing_are_fresh():
    written = (ROOT / "docs/records-of-processing.md").read_text()
    assert written == records.document(), "run `make data-model`"


def test_every_table_of_people_belongs_to_one_activity():
    told = [name for _activity, _purpose, _ground, names in records.ACTIVITIES for name in names]
    assert sorted(told) == sorted(table.name for table in tables.TABLES if table.owner)


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.name)
def test_every_column_says_what_it_is(table):
    assert table.what.endswith(".")
    assert table.retention in tables.RETENTION_CLASSES
    assert {*table.key} <= {column.name for column in table.columns}
    assert len({column.name for column in table.columns}) == len(table.columns)
    for column in table.columns:
        assert column.privacy in tables.PRIVACY_CLASSES, column.name
        assert column.retention is None or column.retention in tables.RETENTION_CLASSES, column.name
        assert column.why, column.name
        assert column.privacy != "secret" or column.kept_back, f"{column.name}: a secret is never exported"


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.name)
def test_every_row_leads_to_its_person(table):
    if table.owner is None:
        assert {column.privacy for column in table.columns} == {"none"}
        return
    assert table.owner == ("id" if table.name == "users" else "user_id")
    reaches_users = table.name == "users" or any("user_id" in key.columns for key in table.foreign_keys)
    of_a_statement = ("learning_work", "learning_work_curve", "learning_fold")
    assert reaches_users or table.name in ("unlink_outbox", "jobs", "audit_events", "audit_heads", "promotion_rejects", "passkey_challenges", *of_a_statement)


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.name)
def test_a_sealed_column_is_text_and_checked(table):
    for column in table.columns:
        if column.sealed:
            assert column.kind in (tables.TEXT, tables.TEXTS), column.name
            if column.kind == tables.TEXT:
                assert any(check.endswith("_sealed") for check in table.checks), column.name


def test_every_column_of_the_proof_of_concept_goes_somewhere():
    there = {
        "users": "id email password_hash created_at account_status",
        "user_preferences": "id user_id voice_preference background_sound session_duration",
        "sessions": "id user_id start_time end_time session_type frequency effectiveness",
        "session_feedback": "id session_id rating feedback_text",
    }
    origins = " ".join(column.origin or "" for table in tables.TABLES for column in table.columns)
    for table, columns in there.items():
        for column in columns.split():
            assert re.search(rf"\b{table}\.{column}\b", origins), f"{table}.{column}"


def test_tables_and_columns_are_found_by_name():
    assert tables.table("users").column("email").sealed
    with pytest.raises(KeyError):
        tables.table("nothing")
    with pytest.raises(KeyError, match=r"users\.nothing"):
        tables.table("users").column("nothing")


def test_decision_records_are_numbered_without_gaps_and_short():
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    for record in RECORDS:
        text = record.read_text()
        assert len(text.splitlines()) <= 40, record.name
        assert text.startswith(f"# {record.name[:4]} "), record.name
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, record.name


def test_the_licence_is_whole():
    licence = (ROOT / "LICENSE").read_text()
    assert licence.lstrip().startswith("GNU AFFERO GENERAL PUBLIC LICENSE")
    assert "13. Remote Network Interaction" in licence
    assert "17. Interpretation of Sections 15 and 16." in licence
    assert len(licence.encode()) == 34_523
    assert 'license = "AGPL-3.0-or-later"' in (ROOT / "pyproject.toml").read_text()


def tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"])
def test_files_that_a_document_names_exist(document):
    text = (ROOT / document).read_text()
    named = set(re.findall(r"`((?:src|docs|tests|bench|\.ci)/[\w./-]+)`", text)) | set(re.findall(r"\]\((?!https?:)([^)#]+)\)", text))
    for name in named:
        assert (ROOT / name).exists(), f"{document} names {name}"


def safeguards() -> list[tuple[str, str, list[str]]]:
    """Each line of docs/safeguards.md: the item, its state, and the tests that show it."""
    rows = re.findall(r"^\| (?!item|article|paragraph|---)([^|]+)\|[^|]+\| ([\w/]+) \|[^|]*\|([^|]*)\|$", (ROOT / "docs/safeguards.md").read_text(), re.MULTILINE)
    return [(item.strip(), state, re.findall(r"`([^`]+)`", shown)) for item, state, shown in rows]


def test_there_are_safeguards_of_every_law():
    text = (ROOT / "docs/safeguards.md").read_text()
    assert len(safeguards()) == sum(line.startswith("| ") for line in text.splitlines()) - 3 > 90
    assert {state for _, state, _ in safeguards()} <= {"met", "operator", "partly", "no", "n/a"}


# How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; they are its first ones, level 3 comes after.
ASVS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1, "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5,
    "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4, "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4,
    "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4, "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3, "11.1": 2, "11.2": 3, "11.3": 3,
    "11.4": 4, "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5, "14.1": 2, "14.2": 4,
    "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3, "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip


def test_every_requirement_of_asvs_of_the_first_two_levels_stands_there_once():
    wanted = [f"{section}.{number}" for section, count in ASVS.items() for number in range(1, count + 1)]
    told = [number for item, _, _ in safeguards() if "(" not in item for number in item.split() if re.fullmatch(r"\d+\.\d+\.\d+", number)]
    assert len(wanted) == 253
    assert sorted(told) == sorted(wanted)


@pytest.mark.parametrize(("item", "state", "shown"), safeguards(), ids=[item for item, _, _ in safeguards()])
def test_a_safeguard_that_is_met_names_the_test_that_shows_it(item, state, shown):
    assert shown or state != "met", f"{item} is met, but by what?"
    for test in shown:
        file, _, name = test.partition("::")
        path = ROOT / "tests" / file
        assert path.exists(), f"{item}: {file} does not exist"
        assert not name or re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE), f"{item}: there is no {name} in {file}"


def test_nobody_calls_it_compliant():
    for name in [*(n for n in tracked() if n.endswith((".md", ".html"))), "src/stillwave/inspection/rules.py"]:
        assert not re.search(r"\b(?:GDPR|HIPAA)[- ]?(?:compliant|certified|conformant)\b|\bcompliant\b", (ROOT / name).read_text(), re.IGNORECASE), name


def test_every_ignored_lint_rule_gives_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    ignored = re.search(r"\[tool\.ruff\.lint\]\n.*?ignore = \[\n(.*?)\n\]", text, re.DOTALL)
    assert ignored
    for line in ignored[1].splitlines():
        assert re.fullmatch(r'    "[A-Z]+\d+",\s+# .{8,}', line), line


def test_no_module_has_a_name_that_says_nothing():
    empty_words = {"utils", "util", "helpers", "helper", "manager", "service", "services", "base", "common", "misc"}
    for name in tracked():
        if name.endswith(".py"):
            assert not empty_words & set(Path(name).stem.split("_")), name
