"""The security audit: done, stored under a MAC, compared with the last; and what operators vouch for."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec

from stillwave import __version__
from stillwave.db import audit
from stillwave.db.database import Database, Tx
from stillwave.db.ids import uuid7
from stillwave.errors import BadInput, Conflict, NotFound
from stillwave.inspection import facts
from stillwave.inspection.checks import CHECKS
from stillwave.inspection.facts import SQL, Housekeeping, Installed
from stillwave.inspection.probe import Probe, ask_here
from stillwave.inspection.rules import LONGEST_ATTESTATION, Report, changed, judged
from stillwave.jobs.rules import NOBODY
from stillwave.settings import Settings

_KEPT = dt.timedelta(days=6 * 365 + 2)
_RECENT = 100


class Attestation(msgspec.Struct, frozen=True):
    """What an operator vouches for, until when."""

    check_id: str
    said_at: dt.datetime
    until: dt.date
    statement: str
    mac: str


class _Stored(msgspec.Struct, frozen=True):
    id: Any
    at: dt.datetime
    report: str
    mac: str


def inspect(
    settings: Settings, database: Database, housekeeping: Housekeeping, now: dt.datetime, *,
    probe: Probe | None = None, installed: Installed | None = None,
) -> Report:  # fmt: skip
    """Every check was looked at; nothing is stored. Without a probe the server on this machine is asked."""
    found = facts.gather(
        settings, database, housekeeping, now,
        probe=probe or ask_here(settings), installed=installed or facts.packages(),
    )  # fmt: skip
    with database.read(right="retention") as tx:
        said, stored = tx.all(Attestation, SQL.attestations), tx.all(_Stored, SQL.newest_inspections, most=_RECENT)
        true = [one for one in said if tx.vault.audit_fits(_attestation_text(one), one.mac)]
        altered = [one for one in stored if not tx.vault.audit_fits(_report_text(one), one.mac)]
    found = msgspec.structs.replace(found, forged_attestations=len(said) - len(true), altered_reports=len(altered))
    attested = {one.check_id: one.until for one in true if one.until >= now.date()}
    findings = judged([check for check in CHECKS if check.only_on in (None, database.engine)], found, attested)
    last = next((one for one in stored if one not in altered), None)
    before = msgspec.json.decode(last.report, type=Report) if last else None
    return Report(
        now, __version__, database.engine, findings,
        changed(before.findings, findings) if before else [], before.at if before else None,
    )  # fmt: skip


def keep(database: Database, report: Report) -> None:
    """The report is stored, and those older than six years are gone."""
    text = _canonical(msgspec.to_builtins(report))
    with database.write(right="retention") as tx:
        stored = _Stored(uuid7(report.at), report.at, text, "")
        tx.run(SQL.insert_inspection, id=stored.id, at=report.at, report=text, mac=tx.vault.audit_mac(_report_text(stored)))
        tx.run(SQL.delete_outlived_inspections, before=report.at - _KEPT)


def last(tx: Tx) -> Report | None:
    """The newest report that is as it was written."""
    for stored in tx.all(_Stored, SQL.newest_inspections, most=2):
        if tx.vault.audit_fits(_report_text(stored), stored.mac):
            return msgspec.json.decode(stored.report, type=Report)
    return None


def history(tx: Tx, most: int) -> list[Report]:
    """The newest reports, the newest first."""
    return [msgspec.json.decode(stored.report, type=Report) for stored in tx.all(_Stored, SQL.newest_inspections, most=most)]


def attest(tx: Tx, check_id: str, until: dt.date, statement: str, now: dt.datetime) -> None:
    """The operator vouches for what the check cannot see; it counts to the end of that day.

    Raises NotFound for no check of ours, Conflict for one that sees for itself, BadInput for a day that is past or
    more than a year away: then somebody must look again.
    """
    check = next((check for check in CHECKS if check.id == check_id), None)
    can = [check.id for check in CHECKS if check.attestable]
    if check is None:
        raise NotFound(f"There is no check {check_id}. These can be vouched for: {', '.join(can)}.")
    if not check.attestable:
        raise Conflict(f"{check_id} is seen by the program itself: put it right instead. These can be vouched for: {', '.join(can)}.")
    if not now.date() <= until <= (now + LONGEST_ATTESTATION).date():
        raise BadInput("--until", "is not in the year to come", "a day such as 2027-01-31, at most a year away")
    if not 0 < len(statement.strip()) <= 400:
        raise BadInput("--because", "is not of a length we take", "1 to 400 characters: what you looked at, and what you saw")
    said = Attestation(check_id, now, until, statement.strip(), "")
    tx.run(
        SQL.insert_attestation, check_id=check_id, said_at=now, until=until, statement=said.statement,
        mac=tx.vault.audit_mac(_attestation_text(said)),
    )  # fmt: skip
    audit.note(tx, NOBODY, "check.attested", now, actor="operator", check=check_id)


def attestations(tx: Tx) -> list[Attestation]:
    """Everything that was ever vouched for, oldest first."""
    return tx.all(Attestation, SQL.attestations)


def _attestation_text(said: Attestation) -> str:
    at = said.said_at.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    return f"attestation\n{said.check_id}\n{at}\n{said.until.isoformat()}\n{said.statement}"


def _report_text(stored: _Stored) -> str:
    at = stored.at.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    return f"inspection\n{stored.id}\n{at}\n{_canonical(json.loads(stored.report))}"


def _canonical(report: Any) -> str:  # noqa: ANN401
    # PostgreSQL keeps JSON by meaning, not by letter.
    return json.dumps(report, sort_keys=True, separators=(",", ":"))
