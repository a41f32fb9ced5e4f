"""What the operator looks at, without personal data; and what housekeeping does, within its own rights."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import msgspec

from stillwave.breach import actions as breach
from stillwave.db import audit, migrate
from stillwave.db.database import Database, Queries, Query, Tx
from stillwave.errors import ClockDoubted, StorageFull
from stillwave.inspection import actions as inspection
from stillwave.inspection.facts import Housekeeping
from stillwave.inspection.rules import is_stale
from stillwave.jobs.actions import Counts as Work
from stillwave.operator.rules import Clock, judge
from stillwave.settings import Settings
from stillwave.web import gate
from stillwave.web.mail import Mailer

SQL = Queries(Path(__file__).parent)
_LITTLE_DISK_BYTES = 1024**3
_BATCH = 500
_PEOPLE_AT_ONCE = 50
_MONTHS_AHEAD = 3
_LATE = dt.timedelta(minutes=10)
_APART = dt.timedelta(minutes=1)


class Check(msgspec.Struct, frozen=True):
    """One line of health: what was looked at, what was found, whether it is well."""

    label: str
    value: str
    ok: bool


class Counts(msgspec.Struct, frozen=True):
    """How much there is; `months_ahead` is None where there are no partitions."""

    sessions: int
    waiting: int
    strays: int
    months_ahead: int | None


class Retired(msgspec.Struct, frozen=True):
    """What retention did for one class of the catalogue: rows gone (or, in a dry run, due), months dropped whole."""

    retention: str
    table: str
    rows: int
    months_dropped: int = 0


class _Gone(msgspec.Struct, frozen=True):
    gone: int
    people: int = 0
    dropped: bool = False


class _Month(msgspec.Struct, frozen=True):
    name: str


class _Fact(msgspec.Struct, frozen=True):
    name: str
    value: str


def ping(tx: Tx) -> None:
    """The database answers."""
    tx.value(SQL.ping)


def expired(tx: Tx, now: dt.datetime) -> int:
    """How many sessions `clean_up` would remove."""
    return int(tx.value(SQL.count_expired, before=_a_year_before(now)))


def clean_up(database: Database, now: dt.datetime) -> int:
    """Sessions older than a year are gone, but for premium people and those who restricted processing.

    Month by month, a few people at a time, so that nobody waits long; feedback goes along, sound files through the
    unlink outbox. What was learned from them stays. Returns how many went. Ended half-way, the next run goes on.
    """
    gone = _clean_up(database, now).rows
    _trim_log(database, now)
    return gone


def _trim_log(database: Database, now: dt.datetime) -> Retired:
    """Returns how many people's chains were trimmed."""
    trimmed, count = 0, _BATCH
    while count == _BATCH:
        with database.read(right="retention") as tx:
            people = audit.outlived(tx, now, _BATCH)
        for user_id in people:
            with database.write(user_id, right="retention") as tx:
                audit.trim(tx, user_id, now)
        count = len(people)
        trimmed += count
    return Retired("audit", "audit_events", trimmed)


def _clean_up(database: Database, now: dt.datetime) -> Retired:
    before, rows, dropped = _a_year_before(now), 0, 0
    with database.read(right="retention") as tx:
        months = tx.all(_Month, SQL.expired_months, before=before)
    for month in months:
        people = _PEOPLE_AT_ONCE
        while people >= _PEOPLE_AT_ONCE:
            with database.write(right="retention") as tx:
                people = tx.run(SQL.keep_learned, before=before, most=_PEOPLE_AT_ONCE)
                gone = tx.all(_Gone, SQL.retire, name=month.name, before=before, most=_PEOPLE_AT_ONCE)
                tx.run(SQL.resume_learning)
            people += sum(batch.people for batch in gone)
            rows += sum(batch.gone for batch in gone)
            dropped += any(batch.dropped for batch in gone)
    return Retired("session_year", "sessions", rows, dropped)


def retain(database: Database, now: dt.datetime) -> list[Retired]:
    """Every class of the catalogue that ends has ended where it is due; safe to end at any time and to run again.

    The outbox is only counted: files are removed by who knows the audio folder.
    """
    done = [_clean_up(database, now)]
    for retention, table, delete, _count, values in _ending(now):
        rows, count = 0, _BATCH
        while count == _BATCH:
            with database.write(right="retention") as tx:
                count = tx.run(delete, most=_BATCH, **values)
            rows += count
        done.append(Retired(retention, table, rows))
    if erased := database.vault.keys.erased():
        with database.write(right="retention") as tx:
            tx.value(SQL.forget_metric_names, last_erased=erased[-1][1])
    return [*done, _trim_log(database, now), _waiting(database)]


def due(database: Database, now: dt.datetime) -> list[Retired]:
    """What `retain` would remove."""
    with database.read(right="retention") as tx:
        found = [Retired("session_year", "sessions", expired(tx, now))]
        found += [
            Retired(retention, table, int(tx.value(count, **values)))
            for retention, table, _delete, count, values in _ending(now)
        ]
    return [*found, _waiting(database)]


def housekeeping(database: Database, now: dt.datetime) -> Housekeeping:
    """What the security audit wants to know: what should have gone a day ago, and whether the clock is believed."""
    a_day_ago = now - dt.timedelta(days=1)
    with database.read(right="retention") as tx:
        known = _known_clock(tx)
    late = {line.table: line.rows for line in due(database, a_day_ago) if line.retention not in ("outbox", "audit")}
    return Housekeeping(late, judge(known, now)[1])


def _known_clock(tx: Tx) -> Clock:
    facts = {fact.name: dt.datetime.fromisoformat(fact.value) for fact in tx.all(_Fact, SQL.clock_facts)}
    return Clock(facts.get("clock_seen"), facts.get("clock_looked"), facts.get("clock_doubted"))


def audited(tx: Tx, now: dt.datetime) -> Check:
    """How the last security audit ended; a report that is too old says nothing any more."""
    report = inspection.last(tx)
    if report is None:
        return Check("Security audit", "not yet: the worker does it daily", ok=True)
    found = report.open()
    told = f"{report.at:%Y-%m-%d}: " + (f"{len(found)} to look at: stillwave audit" if found else "nothing to look at")
    if is_stale(report.at, now):
        told = f"the last one is of {report.at:%Y-%m-%d}: does a worker run?"
    return Check("Security audit", told, ok=not found and not is_stale(report.at, now))


def breaches(tx: Tx, now: dt.datetime) -> list[Check]:
    """A line for each breach of which somebody is still to be told, with the clock of the law."""
    found = []
    for one in breach.everything(tx):
        due = [f"{who} by {until:%Y-%m-%d %H:%M} UTC" for who, until, told in one.clocks() if told is None]
        if due:
            found.append(Check("Breach", f"of {one.known_at:%Y-%m-%d}: tell the {' and the '.join(due)}", ok=not one.is_late(now)))
    return found


def _waiting(database: Database) -> Retired:
    with database.read(right="retention") as tx:
        return Retired("outbox", "unlink_outbox", int(tx.value(SQL.count_waiting_files)))


def _ending(now: dt.datetime) -> list[tuple[str, str, Query, Query, dict[str, dt.datetime]]]:
    """(class, table, how to delete, how to count, until when) of what ends by itself and hangs on nothing."""
    return [
        ("login", "logins", SQL.delete_ended_logins, SQL.count_ended_logins,
         {"now": now, "idle_since": now - gate.IDLE}),
        ("recovery", "recoveries", SQL.delete_old_recoveries, SQL.count_old_recoveries, {"now": now}),
        ("challenge", "passkey_challenges", SQL.delete_old_challenges, SQL.count_old_challenges, {"now": now}),
        ("request", "idempotency_keys", SQL.delete_old_answers, SQL.count_old_answers,
         {"before": now - dt.timedelta(days=1)}),
    ]  # fmt: skip


def check_clock(database: Database, now: dt.datetime, *, confirmed: bool = False) -> None:
    """The clock was seen to go on as clocks do. Raises ClockDoubted when it jumped by more than a day.

    Deleting by a wrong clock cannot be undone, so housekeeping waits until the clock has gone on steadily for
    another day, or until an operator confirms it.
    """
    with database.write(right="retention") as tx:
        known = _known_clock(tx)
        after, trusted = (Clock(now, now, now), True) if confirmed else judge(known, now)
        for name in ("seen", "looked", "doubted"):
            if (value := getattr(after, name)) is not None:
                tx.run(SQL.set_clock_fact, name=f"clock_{name}", value=value.isoformat())
    if not trusted:
        raise ClockDoubted(
            "The clock jumped by more than a day since it was last looked at, so nothing is deleted by it for now. "
            "If it is right (the server was off), run: stillwave db clock --confirm. After a day of steady running "
            "it is trusted again by itself."
        )


def _a_year_before(now: dt.datetime) -> dt.datetime:
    day = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year - 1, day=28)


def readiness(database: Database, settings: Settings, now: dt.datetime) -> list[Check]:
    """What must be so before requests are served well: database, schema, disk, partitions of this month and the next."""
    state = migrate.check(database)  # type: ignore[arg-type]
    stays = database.takes_writes()
    checks = [
        Check("Database", database.engine if stays else f"{database.engine}, moved elsewhere", ok=stays),
        Check("Schema", state, ok=state == "current"), _disk(settings),
    ]  # fmt: skip
    if state == "current":
        with database.read() as tx:
            counts = tx.one(Counts, SQL.counts, today=now.date()) or Counts(0, 0, 0, None)
        checks.append(_strays(counts))
        made = counts.months_ahead
        checks.append(Check("Months made", "all" if made is None else str(made), ok=made is None or made >= 2))
    return checks


def _disk(settings: Settings) -> Check:
    free = shutil.disk_usage(settings.data_dir).free
    return Check("Free disk", f"{free / 1024**3:.1f} GiB", ok=free > _LITTLE_DISK_BYTES)


def _strays(counts: Counts) -> Check:
    return Check("Rows outside of their month", str(counts.strays), ok=counts.strays == 0)


def keep_checkpoint(settings: Settings, database: Database, now: dt.datetime) -> Path | None:
    """Where every chain of the audit log ends is written down in the set folder, once a day; older notes stay.

    Returns the new file. Raises StorageFull when it cannot be written.
    """
    folder = settings.checkpoint_dir
    if folder is None:
        return None
    path = folder / f"stillwave-checkpoint-{now:%Y-%m-%d}.json"
    if path.exists():
        return None
    with database.read(right="retention") as tx:
        made = audit.checkpoint(tx, now)
    aside = path.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1))
        aside.rename(path)
    except OSError as error:
        raise StorageFull(f"The folder of STILLWAVE_CHECKPOINT_DIR cannot be written: {error.strerror}.") from error
    return path


def mail_server(settings: Settings) -> list[Check]:
    """Whether the mail server lets us in; nothing when none is set."""
    if settings.smtp_url is None:
        return []
    mailer = Mailer(settings)
    try:
        mailer.reach()
    except OSError as error:
        return [Check("Mail server", f"out of reach ({type(error).__name__}): check STILLWAVE_SMTP_URL", ok=False)]
    finally:
        mailer.close()
    return [Check("Mail server", "lets us in", ok=True)]


def work(jobs: Work, now: dt.datetime) -> list[Check]:
    """Whether the work in the background is done in time, and whether some was given up."""
    late = now - jobs.oldest_due_at if jobs.oldest_due_at and jobs.oldest_due_at < now else dt.timedelta()
    told = "in time" if late < _LATE else f"{late} behind: does a worker run?"
    return [
        Check("Work in the background", told, ok=late < _LATE),
        Check("Work that was given up", str(jobs.dead), ok=jobs.dead == 0),
    ]


def clock(tx: Tx, now: dt.datetime) -> Check:
    """Whether this machine's clock agrees with that of the database's."""
    found = tx.one(_Clock, SQL.database_clock)
    apart = abs(found.at - now) if found else dt.timedelta()
    told = "agrees with the database's" if apart < _APART else f"{apart} from the database's: set one of them right"
    return Check("Clock", told, ok=apart < _APART)


class _Clock(msgspec.Struct):
    at: dt.datetime


def health(tx: Tx, settings: Settings, now: dt.datetime, *, mail: bool) -> list[Check]:
    """The checks of the operator's page and of `stillwave doctor`."""
    counts = tx.one(Counts, SQL.counts, today=now.date()) or Counts(0, 0, 0, None)
    sounds = [file.stat().st_size for file in settings.audio_dir.glob("*.swf")]
    checks = [
        Check("Sessions stored", str(counts.sessions), ok=True),
        _disk(settings),
        Check("Sound files", f"{len(sounds)}, {sum(sounds) / 1024**2:.0f} MiB", ok=True),
        Check("Files waiting to be removed", str(counts.waiting), ok=counts.waiting < 1000),
        _strays(counts),
        Check("Mail", "set up" if mail else "not set up: no reminders; recovery codes come from the command line", ok=True),
        Check("Connection", "TLS" if settings.secure_cookies else "this machine only, no TLS", ok=True),
        audited(tx, now),
        *breaches(tx, now),
    ]
    if counts.months_ahead is not None:
        ahead = max(counts.months_ahead - 1, 0)  # the current month is not ahead
        checks.append(Check("Months made ahead", str(ahead), ok=ahead >= _MONTHS_AHEAD))
    return checks
