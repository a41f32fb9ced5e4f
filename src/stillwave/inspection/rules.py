"""What a security audit is: facts that were seen, checks over them, verdicts, and what changed since the last. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

Severity = Literal["low", "medium", "high"]
Verdict = Literal["PASS", "WARN", "FAIL", "ATTESTED"]
SEVERITIES: Final[tuple[Severity, ...]] = ("low", "medium", "high")
# How long a new installation has for what only its operator can do: a backup, an attestation, a place for checkpoints.
GRACE: Final = dt.timedelta(days=7)
# The audit runs daily; a last one older than this is no longer believed.
STALE: Final = dt.timedelta(days=3)
LONGEST_ATTESTATION: Final = dt.timedelta(days=366)


class File(msgspec.Struct, frozen=True):
    """A file as it lies on disk: name, permission bits, the first bytes, when it was last written."""

    name: str
    mode: int
    head: bytes
    modified_at: dt.datetime


class Backup(msgspec.Struct, frozen=True):
    """A backup by its manifest."""

    name: str
    made_at: dt.datetime
    verified: bool
    beside_keys: bool


class Checkpoint(msgspec.Struct, frozen=True):
    """The newest checkpoint of the audit log: from when, and what is wrong with it or with the log by it."""

    at: dt.datetime | None
    wrong: str | None


class Answer(msgspec.Struct, frozen=True):
    """What a server answered: status and headers (names in lower case)."""

    status: int
    headers: Mapping[str, str]


class Link(msgspec.Struct, frozen=True):
    """What a TLS connection showed. `refused` says why there is none; `plain` is the answer to http://."""

    refused: str | None = None
    version: str | None = None
    until: dt.datetime | None = None
    plain: Answer | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the checks look at, read once. No personal values."""

    now: dt.datetime
    # settings
    base_url: str
    host: str
    local: bool
    database_host: str | None = None
    database_tls: bool = True
    smtp_url: str | None = None
    metrics_token: str | None = None
    root_key_file: File | None = None
    root_key_in_backups: bool = False
    limits: Mapping[str, str] = {}
    # disk
    folder_mode: int = 0o700
    free_bytes: int = 0
    files: Sequence[File] = ()
    strange_sounds: Sequence[str] = ()
    backup_dir_mode: int | None = None
    backups: Sequence[Backup] = ()
    key_copies: Sequence[File] = ()
    leaks: Sequence[str] = ()
    # database: what its own catalogue and its rows tell, by check
    told: Mapping[str, Sequence[str]] = {}
    first_account_at: dt.datetime | None = None
    schema: str = "current"
    months_ahead: int | None = None
    strays: int = 0
    unknown_wordings: Sequence[str] = ()
    unopened: int = 0
    opened: int = 0
    # the audit log
    chains: int = 0
    broken_chains: int = 0
    checkpoint: Checkpoint | None = None
    # work
    dead_jobs: int = 0
    late: dt.timedelta = dt.timedelta()
    clock_trusted: bool = True
    overdue: Mapping[str, int] = {}
    late_breaches: int = 0
    altered_reports: int = 0
    forged_attestations: int = 0
    # programs
    old_packages: Sequence[str] = ()
    other_packages: Sequence[str] = ()
    old_engine: str | None = None
    # the server, when it was asked
    asked: str | None = None
    answers: Mapping[str, Answer] = {}
    link: Link | None = None

    @property
    def grown(self) -> bool:
        """Somebody has had an account for longer than an operator has time to set everything up."""
        return self.first_account_at is not None and self.now - self.first_account_at > GRACE


class Seen(msgspec.Struct, frozen=True):
    """What a check saw: whether it is well, and the evidence in a few words."""

    well: bool
    evidence: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is looked at: what must be true, by which law, how bad it is if not, and what to do then."""

    id: str
    group: str
    title: str
    law: str
    severity: Severity
    advice: str
    look: Callable[[Facts], Seen | None]  # None: there is nothing of the kind here
    attestable: bool = False
    only_on: str | None = None


class Finding(msgspec.Struct, frozen=True):
    """What became of one check."""

    id: str
    group: str
    title: str
    law: str
    severity: Severity
    verdict: Verdict
    evidence: str
    advice: str = ""


class Change(msgspec.Struct, frozen=True):
    """A check whose verdict is another than in the audit before."""

    id: str
    title: str
    before: str
    after: str


class Report(msgspec.Struct, frozen=True):
    """One security audit."""

    at: dt.datetime
    version: str
    engine: str
    findings: list[Finding]
    changes: list[Change] = []
    before: dt.datetime | None = None

    def open(self) -> list[Finding]:
        """What is not well and not attested, the worst first."""
        found = [finding for finding in self.findings if finding.verdict in ("WARN", "FAIL")]
        return sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity))

    def counts(self) -> dict[str, int]:
        """How many checks ended with which verdict."""
        return {verdict: sum(f.verdict == verdict for f in self.findings) for verdict in ("PASS", "ATTESTED", "WARN", "FAIL")}


def judged(checks: Sequence[Check], facts: Facts, attested: Mapping[str, dt.date]) -> list[Finding]:
    """A finding for each check that has something to look at here. `attested`: until when, by check."""
    found = []
    for check in checks:
        seen = check.look(facts)
        if seen is not None:
            found.append(_finding(check, seen, attested.get(check.id)))
    return found


def _finding(check: Check, seen: Seen, until: dt.date | None) -> Finding:
    verdict: Verdict = "FAIL" if check.severity == "high" else "WARN"
    evidence, advice = seen.evidence, check.advice
    if seen.well:
        verdict, advice = "PASS", ""
    elif check.attestable and until is not None:
        verdict, advice = "ATTESTED", ""
        evidence = f"{evidence}; the operator vouches for it until {until}"
    return Finding(check.id, check.group, check.title, check.law, check.severity, verdict, evidence, advice)


def changed(before: Sequence[Finding], after: Sequence[Finding]) -> list[Change]:
    """What is judged otherwise than before; a check that is new or gone counts from or to `-`."""
    old, new = ({f.id: f for f in findings} for findings in (before, after))
    ids = [*new, *(name for name in old if name not in new)]
    return [
        Change(name, (new.get(name) or old[name]).title, _verdict(old.get(name)), _verdict(new.get(name)))
        for name in ids
        if _verdict(old.get(name)) != _verdict(new.get(name))
    ]


def _verdict(finding: Finding | None) -> str:
    return finding.verdict if finding else "-"


def too_bad(report: Report, least: Severity) -> bool:
    """True when something open is at least as severe."""
    return any(SEVERITIES.index(finding.severity) >= SEVERITIES.index(least) for finding in report.open())


def is_stale(last_at: dt.datetime | None, now: dt.datetime) -> bool:
    """True when the last audit is too old to say anything; one that never was is not."""
    return last_at is not None and now - last_at > STALE


def version_of(text: str) -> tuple[int, ...]:
    """The numbers a version begins with, to compare it with another."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: next((i for i, c in enumerate(part) if not c.isdigit()), len(part))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def is_older(found: str, least: str) -> bool:
    """True when version `found` comes before `least`."""
    return version_of(found) < version_of(least)


def as_text(report: Report) -> str:
    """The report for a terminal or a mail."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts().items())
    lines = [f"Security audit of {report.at:%Y-%m-%d %H:%M} UTC, Stillwave {report.version} on {report.engine}", counts]
    group = ""
    for finding in report.findings:
        if finding.group != group:
            group = finding.group
            lines += ["", group]
        lines.append(f"  {finding.verdict:8} {finding.id:22} {finding.title}: {finding.evidence}")
        if finding.advice:
            lines.append(f"           {'':22} {finding.severity}; {finding.law}. {finding.advice}")
    if report.before is not None:
        lines += ["", f"Since {report.before:%Y-%m-%d %H:%M} UTC: {'' if report.changes else 'nothing changed'}".rstrip()]
        lines += [f"  {change.id}: {change.before} -> {change.after}" for change in report.changes]
    return "\n".join(lines) + "\n"
