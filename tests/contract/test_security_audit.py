"""The security audit (`stillwave audit`): nothing on a clean install, and each thing wrong is found by its own check."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from stillwave.accounts import actions as accounts
from stillwave.db import audit, migrate
from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase, open_database
from stillwave.db.tables import TABLES
from stillwave.errors import BadInput, Conflict, NotFound
from stillwave.inspection import actions, facts, rules
from stillwave.inspection.checks import CHECKS
from stillwave.inspection.facts import Housekeeping, Installed
from stillwave.inspection.probe import Probe
from stillwave.inspection.rules import Answer, Link
from stillwave.operator import actions as operator
from stillwave.settings import Settings
from stillwave.web.limits import RULES
from tests import rows
from tests.cast import ALICE, BOB, NOW, ROOT_KEY

Undo = Callable[[], object]
PASSWORD = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store",
    "strict-transport-security": "max-age=31536000",
}  # fmt: skip
FINE = Probe(
    "https://calm.example.org", {"/sign-in": Answer(200, HEADERS), "/metrics": Answer(404, {})},
    Link(version="TLSv1.3", until=NOW + dt.timedelta(days=60), plain=Answer(308, {"location": "https://calm.example.org/"})),
)  # fmt: skip


class House(NamedTuple):
    """A clean install with an operator's second step, Alice and Bob, and a public address; what a plant may replace."""

    settings: Any  # Settings, with every folder set
    database: SqliteDatabase | PostgresDatabase
    admin: Any  # past row-level security
    alice: uuid.UUID
    bob: uuid.UUID


class View(NamedTuple):
    """What the audit is told besides the database; a plant returns another one."""

    settings: Settings
    now: dt.datetime = NOW
    probe: Probe = FINE
    installed: Installed = Installed({"jinja2": "3.1.6"}, {"jinja2": frozenset({"3.1.6"})})
    housekeeping: Housekeeping | None = None


@contextlib.contextmanager
def _clean(settings: Settings, tmp: Path) -> Iterator[House]:
    """As docs/operating.md says: on PostgreSQL the server has a login of its own."""
    database = open_database(settings)
    if settings.database_url:
        migrate.upgrade(database)  # a copy loses what a database itself grants
    key = tmp / "root.key"
    key.touch(mode=0o600)
    key.write_text(ROOT_KEY)
    settings = msgspec.structs.replace(
        settings, base_url="https://calm.example.org", root_key=None, root_key_file=key, backup_dir=tmp / "backups",
        backup_keys_dir=tmp / "keys", checkpoint_dir=tmp / "checkpoints", log_dir=tmp / "logs",
    )  # fmt: skip
    database.prepare_months(NOW)
    people = []
    for person, role in ((ALICE, "operator"), (BOB, "listener")):
        with database.write(right="operator") as tx:
            people.append(accounts.create(
                tx, email=person.email, phone=person.phone_number, password_hash=PASSWORD, now=NOW, consent=True, role=role,  # type: ignore[arg-type]
            ))  # fmt: skip
    with database.write(people[0], right="operator") as tx:
        rows.insert(tx, "second_factors", user_id=people[0], id=rows.id_at(), secret="sw1.AAAA", created_at=NOW, confirmed_at=NOW)
        rows.insert(tx, "sessions", **rows.session(people[1], NOW))
        accounts.open_login(tx, people[0], "Firefox", NOW)
    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(contextlib.closing(database.raw()))
        if settings.database_url:
            admin.autocommit = True
            name = f"stillwave_test_{uuid.uuid4().hex[:12]}"
            admin.execute(f"CREATE ROLE {name} LOGIN NOINHERIT")
            admin.execute(f"GRANT stillwave_app, stillwave_retention TO {name}")
            database.close()
            stack.callback(lambda: admin.execute(f"DROP ROLE {name}"))
            database = PostgresDatabase(make_conninfo(settings.database_url, user=name), database.vault)
            database.open()
        stack.callback(database.close)
        yield House(settings, database, admin, *people)


@pytest.fixture(scope="module")
def houses(settings_on: Callable[[str], Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, House]]:
    with contextlib.ExitStack() as stack:
        yield {
            engine: stack.enter_context(_clean(settings_on(engine), tmp_path_factory.mktemp(f"operator-{engine}")))
            for engine in ("sqlite", "postgres")
        }


def inspected(house: House, view: View | None = None) -> rules.Report:
    view = view or View(house.settings)
    kept = view.housekeeping or operator.housekeeping(house.database, view.now)
    return actions.inspect(view.settings, house.database, kept, view.now, probe=view.probe, installed=view.installed)


def wrong(house: House, view: View | None = None) -> set[str]:
    return {finding.id for finding in inspected(house, view).open()}


# --- planting -----------------------------------------------------------------------------------


def sql(check: str, plant: str, undo: str, *, on: str = "both") -> Any:
    """Statements past the program, and how they are undone. `{alice}`, `{bob}` and `{database}` are filled in."""

    def planted(house: House) -> tuple[View, Undo]:
        names = {"alice": house.alice, "bob": house.bob, "now": NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                 "demo": house.database.vault.blind_index("users.email", "demo@stillwave.example")}  # fmt: skip
        if on == "postgres":
            names["database"] = house.admin.info.dbname
        for statement in plant.split(";;"):
            house.admin.execute(statement.format(**names))
        return View(house.settings), lambda: [house.admin.execute(text.format(**names)) for text in undo.split(";;")]

    return pytest.param(on, check, planted, id=f"{check}-{plant[:40].strip()}")


def told(check: str, name: str, change: Callable[[House], View], on: str = "both") -> Any:
    """Something outside the database is otherwise."""
    return pytest.param(on, check, lambda house: (change(house), lambda: None), id=f"{check}-{name}")


def remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def on_disk(check: str, name: str, make: Callable[[House], list[Path]], on: str = "both") -> Any:
    """Files that are there, and gone afterwards."""

    def planted(house: House) -> tuple[View, Undo]:
        there = make(house)
        return View(house.settings), lambda: remove(there)

    return pytest.param(on, check, planted, id=f"{check}-{name}")


def mode(check: str, name: str, path: Callable[[House], Path], bits: int) -> Any:
    """A file or folder that others may read."""

    def planted(house: House) -> tuple[View, Undo]:
        found = path(house)
        before = found.stat().st_mode & 0o777
        found.chmod(bits)
        return View(house.settings), lambda: found.chmod(before)

    return pytest.param("both", check, planted, id=f"{check}-{name}")


def setting(check: str, **values: Any) -> Any:
    return told(check, "-".join(map(str, values)), lambda house: View(msgspec.structs.replace(house.settings, **values)))


def answering(check: str, path: str = "/sign-in", **changed: str) -> Any:
    """The server answers with other headers; an empty one is absent."""
    headers = {name: text for name, text in {**HEADERS, **{k.replace("_", "-"): v for k, v in changed.items()}}.items() if text}
    probe = msgspec.structs.replace(FINE, answers={**FINE.answers, path: Answer(200, headers)})
    return told(check, path, lambda house: View(house.settings, probe=probe))


def linked(check: str, **values: Any) -> Any:
    probe = msgspec.structs.replace(FINE, link=Link(**{"version": "TLSv1.3", "until": NOW + dt.timedelta(days=60), **values}))
    return told(check, next(iter(values)), lambda house: View(house.settings, probe=probe))


def written(path: Path, body: bytes, modified: dt.datetime = NOW) -> Path:
    import os

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(body)
    os.utime(path, (modified.timestamp(), modified.timestamp()))
    return path


def backup(folder: Path, kind: str = "database", *, age: dt.timedelta = dt.timedelta(hours=3), verified: bool = True) -> Path:
    head = json.dumps({"stillwave_backup": 1, "kind": kind, "at": (NOW - age).isoformat(), "key": "00"})
    path = written(folder / f"stillwave-{kind}.backup", head.encode() + b"\nsealed")
    if verified:
        written(path.with_name(f"{path.name}.verified"), b"")
    return path


def backed_up(check: str, name: str, make: Callable[[House], object]) -> Any:
    def planted(house: House) -> list[Path]:
        assert house.settings.backup_dir
        make(house)
        return [path for path in (house.settings.backup_dir, house.settings.backup_keys_dir) if path and path.exists()]

    return on_disk(check, name, planted)


def a_log(text: str) -> Callable[[House], list[Path]]:
    return lambda house: [written(house.settings.log_dir / "server.log", f'{{"event": "x"}}\n{text}\n'.encode())]


def a_checkpoint(house: House, **changed: Any) -> Path:
    with house.database.read(right="retention") as tx:
        made = audit.checkpoint(tx, NOW)
        if "heads" in changed:  # one that was true once: a chain was longer than it is now
            made = msgspec.structs.replace(made, heads=[msgspec.structs.replace(h, seq=h.seq + 9) for h in made.heads], mac="")
            made = msgspec.structs.replace(made, mac=audit._checkpoint_mac(tx, made))
        elif "at" in changed:
            made = msgspec.structs.replace(made, **changed, mac="")
            made = msgspec.structs.replace(made, mac=audit._checkpoint_mac(tx, made))
        elif changed:
            made = msgspec.structs.replace(made, **changed)
    return written(house.settings.checkpoint_dir / "stillwave-checkpoint-2026-11-25.json", msgspec.json.encode(made))


LATER = NOW + rules.GRACE + dt.timedelta(days=1)


def after_a_week(house: House) -> View:
    """Nobody did what only an operator can do; the work itself went on."""
    return View(house.settings, now=LATER, housekeeping=Housekeeping({}, clock_trusted=True))


def a_week_with(*done: str) -> Callable[[House], tuple[View, Undo]]:
    """After a week, with everything but what the check is about done."""

    def planted(house: House) -> tuple[View, Undo]:
        undo: list[Path] = []
        if "backup" in done:
            backup(house.settings.backup_dir, age=-rules.GRACE)
            undo.append(house.settings.backup_dir)
        if "checkpoint" in done:
            with house.database.read(right="retention") as tx:
                made = audit.checkpoint(tx, LATER)
            undo.append(written(house.settings.checkpoint_dir / "stillwave-checkpoint-2026-12-03.json", msgspec.json.encode(made)))
        said = _said(house, "rest.volume") if "volume" in done and house.database.engine == "postgres" else None
        view = after_a_week(house)

        def back() -> None:
            remove(undo)
            if said:
                house.admin.execute("DELETE FROM attestations")

        return view, back

    return planted


def _said(house: House, check: str) -> bool:
    owner = open_database(house.settings.__class__(**{**msgspec.structs.asdict(house.settings), "root_key": ROOT_KEY}))
    with owner.write(right="operator") as tx:
        actions.attest(tx, check, LATER.date() + dt.timedelta(days=30), "LUKS, looked at with lsblk", NOW)
    owner.close()
    return True


def otherwise(table: Any, name: object, value: object) -> Callable[[House], tuple[View, Undo]]:
    """A table of the program says something else."""

    def planted(house: House) -> tuple[View, Undo]:
        before = table[name]
        table[name] = value
        return View(house.settings), lambda: table.__setitem__(name, before)

    return planted


def holed(house: House) -> tuple[View, Undo]:
    """Every version of PostgreSQL has a hole, whichever the tests run on."""
    before = dict(facts.POSTGRES_HOLES)
    table: Any = facts.POSTGRES_HOLES
    table.update(dict.fromkeys(before, 99))
    return View(house.settings), lambda: table.update(before)


def logging_all(house: House) -> tuple[View, Undo]:
    """The server of PostgreSQL logs every statement of this login."""
    (name,) = house.admin.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'stillwave_test') AND rolname = %s", [_login(house)]).fetchone()
    house.admin.execute(f"ALTER ROLE {name} SET log_statement = 'all'")
    house.database.reopen()

    def back() -> None:
        house.admin.execute(f"ALTER ROLE {name} RESET log_statement")
        house.database.reopen()

    return View(house.settings), back


def _login(house: House) -> str:
    with house.database.read() as tx:
        return str(tx.value(Query("who", "", "SELECT session_user")))


def _plain(house: House) -> Path:
    """A data folder whose database anybody can read."""
    folder = house.settings.root_key_file.parent / "plain"
    folder.mkdir(mode=0o700, exist_ok=True)
    written(folder / "stillwave.db", b"SQLite format 3\0" + bytes(99))
    return folder


HASH = rows.digest("x")
PLANTS = [
    # at rest
    told("rest.encrypted", "plain", lambda house: View(msgspec.structs.replace(house.settings, data_dir=_plain(house)))),
    on_disk("rest.plain_copies", "sqlite", lambda house: [written(house.settings.data_dir / "copy.db", b"SQLite format 3\0" + bytes(99))]),
    on_disk("rest.plain_copies", "pg_dump", lambda house: [written(house.settings.data_dir / "all.dump", b"PGDMP\1\16")]),
    on_disk("rest.sounds", "wav", lambda house: [written(house.settings.audio_dir / "loose.wav", b"RIFF")]),
    mode("rest.folder", "0755", lambda house: house.settings.data_dir, 0o755),
    mode("rest.modes", "keys.db", lambda house: house.settings.keys_file, 0o644),
    mode("keys.root", "0644", lambda house: house.settings.root_key_file, 0o644),
    pytest.param("postgres", "rest.volume", a_week_with("backup", "checkpoint"), id="rest.volume"),
    # backups
    pytest.param("both", "backup.age", a_week_with("checkpoint", "volume"), id="backup.age-none"),
    pytest.param("both", "log.checkpoint", a_week_with("backup", "volume"), id="log.checkpoint-none"),
    backed_up("backup.age", "stale", lambda house: backup(house.settings.backup_dir, age=dt.timedelta(days=3))),
    backed_up("backup.verified", "not", lambda house: backup(house.settings.backup_dir, verified=False)),
    backed_up("backup.verified", "long ago", lambda house: (
        backup(house.settings.backup_dir, verified=False), backup(house.settings.backup_dir / "old", age=dt.timedelta(days=40)))),
    backed_up("backup.mode", "0755", lambda house: backup(house.settings.backup_dir).parent.chmod(0o755)),
    backed_up("keys.apart", "beside", lambda house: (backup(house.settings.backup_dir), backup(house.settings.backup_dir, "keys"))),
    backed_up("keys.copies", "36 days", lambda house: (backup(house.settings.backup_keys_dir, "keys", age=dt.timedelta(days=36)),
                                                     house.settings.backup_dir.mkdir(mode=0o700))),
    backed_up("keys.root_apart", "root.key", lambda house: written(house.settings.backup_dir / "root.key", b"5711")),
    # sealed fields, passwords, accounts
    sql("fields.sealed", "PRAGMA ignore_check_constraints = ON;;INSERT INTO progress_tracking (user_id, id, date, notes) VALUES ('{bob}', '{bob}', '2026-11-25', 'slept badly')",
        "DELETE FROM progress_tracking;;PRAGMA ignore_check_constraints = OFF", on="sqlite"),
    sql("fields.sealed", "ALTER TABLE progress_tracking DROP CONSTRAINT progress_tracking_notes_sealed;;"
        "INSERT INTO progress_tracking (user_id, date, notes) VALUES ('{bob}', '2026-11-25', 'slept badly');;"
        "ALTER TABLE progress_tracking ADD CONSTRAINT progress_tracking_notes_sealed CHECK (notes LIKE 'sw1.%') NOT VALID",
        "DELETE FROM progress_tracking", on="postgres"),
    sql("fields.sealed", "INSERT INTO neural_profiles (user_id, id, contraindications) VALUES ('{bob}', '{bob}', '[\"epilepsy\"]')",
        "DELETE FROM neural_profiles", on="sqlite"),
    sql("fields.checks", "ALTER TABLE users DROP CONSTRAINT users_phone_number_sealed",
        "ALTER TABLE users ADD CONSTRAINT users_phone_number_sealed CHECK (phone_number LIKE 'sw1.%')", on="postgres"),
    sql("fields.open", "CREATE TABLE IF NOT EXISTS aside AS SELECT id, email FROM users;;UPDATE users SET email = (SELECT email FROM aside WHERE aside.id <> users.id)",
        "UPDATE users SET email = (SELECT email FROM aside WHERE aside.id = users.id);;DROP TABLE aside", on="sqlite"),
    sql("fields.open", "CREATE TEMP TABLE aside AS SELECT id, email FROM users;;UPDATE users SET email = (SELECT email FROM aside WHERE aside.id <> users.id)",
        "UPDATE users SET email = (SELECT email FROM aside WHERE aside.id = users.id);;DROP TABLE aside", on="postgres"),
    sql("passwords.kind", "UPDATE users SET password_hash = '$2b$12$abc' WHERE id = '{bob}'", f"UPDATE users SET password_hash = '{PASSWORD}'"),
    sql("passwords.cost", "UPDATE users SET password_hash = '$argon2id$v=19$m=8192,t=1,p=1$c2Fs$aGFz' WHERE id = '{bob}'",
        f"UPDATE users SET password_hash = '{PASSWORD}'"),
    sql("accounts.second_step", "UPDATE second_factors SET confirmed_at = NULL", "UPDATE second_factors SET confirmed_at = '{now}'"),
    sql("accounts.dormant", "UPDATE users SET last_login = '2026-08-01T00:00:00.000Z' WHERE id = '{alice}'", "UPDATE users SET last_login = NULL"),
    sql("accounts.demo", "CREATE TABLE aside AS SELECT email_index FROM users WHERE id = '{bob}';;UPDATE users SET email_index = '{demo}' WHERE id = '{bob}'",
        "UPDATE users SET email_index = (SELECT email_index FROM aside) WHERE id = '{bob}';;DROP TABLE aside", on="sqlite"),
    sql("accounts.demo", "CREATE TEMP TABLE aside AS SELECT email_index FROM users WHERE id = '{bob}';;UPDATE users SET email_index = '{demo}' WHERE id = '{bob}'",
        "UPDATE users SET email_index = (SELECT email_index FROM aside) WHERE id = '{bob}';;DROP TABLE aside", on="postgres"),
    sql("accounts.logins", "UPDATE logins SET expires_at = '2027-11-25T00:00:00.000Z'", "UPDATE logins SET expires_at = '2026-12-20T00:00:00.000Z'"),
    # row-level security
    sql("rls.on", "ALTER TABLE sessions_y2026m11 DISABLE ROW LEVEL SECURITY", "ALTER TABLE sessions_y2026m11 ENABLE ROW LEVEL SECURITY", on="postgres"),
    sql("rls.forced", "ALTER TABLE consents NO FORCE ROW LEVEL SECURITY", "ALTER TABLE consents FORCE ROW LEVEL SECURITY", on="postgres"),
    sql("rls.policies", "DROP POLICY person ON screenings", "CREATE POLICY person ON screenings USING (user_id = stillwave_person())", on="postgres"),
    sql("rls.policies", "DROP POLICY plain ON users", "CREATE POLICY plain ON users AS RESTRICTIVE FOR INSERT TO stillwave_app"
        " WITH CHECK (role = 'listener' AND subscription_tier = 'free')", on="postgres"),
    sql("rls.open", "CREATE POLICY more ON clearances FOR SELECT USING (true)", "DROP POLICY more ON clearances", on="postgres"),
    sql("rls.open", "ALTER POLICY person ON clearances USING (true)", "ALTER POLICY person ON clearances USING (user_id = stillwave_person())", on="postgres"),
    sql("roles.truncate", "GRANT TRUNCATE ON sessions TO stillwave_app", "REVOKE TRUNCATE ON sessions FROM stillwave_app", on="postgres"),
    sql("roles.public", "GRANT SELECT ON screenings TO PUBLIC", "REVOKE SELECT ON screenings FROM PUBLIC", on="postgres"),
    sql("roles.columns", "GRANT UPDATE (role) ON users TO stillwave_app", "REVOKE UPDATE (role) ON users FROM stillwave_app", on="postgres"),
    sql("functions.path", "ALTER FUNCTION contact_taken(text, text) RESET search_path",
        "ALTER FUNCTION contact_taken(text, text) SET search_path = public, pg_temp", on="postgres"),
    sql("functions.public", "GRANT EXECUTE ON FUNCTION account_of_email(text) TO PUBLIC", "REVOKE EXECUTE ON FUNCTION account_of_email(text) FROM PUBLIC", on="postgres"),
    sql("views.invoker", "ALTER VIEW recent_session_analysis SET (security_invoker = false)",
        "ALTER VIEW recent_session_analysis SET (security_invoker = true)", on="postgres"),
    sql("schema.create", "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", on="postgres"),
    sql("schema.temporary", "GRANT TEMPORARY ON DATABASE {database} TO PUBLIC", "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC", on="postgres"),
    sql("schema.owner", "ALTER VIEW user_progress_summary OWNER TO CURRENT_USER", "ALTER VIEW user_progress_summary OWNER TO stillwave_owner", on="postgres"),
    # schema and log
    sql("schema.current", "CREATE TABLE aside AS SELECT value FROM installation WHERE name = 'objects_sha256';;"
        "UPDATE installation SET value = 'older' WHERE name = 'objects_sha256'",
        "UPDATE installation SET value = (SELECT value FROM aside) WHERE name = 'objects_sha256';;DROP TABLE aside", on="sqlite"),
    sql("schema.current", "CREATE TEMP TABLE aside AS SELECT value FROM installation WHERE name = 'objects_sha256';;"
        "UPDATE installation SET value = 'older' WHERE name = 'objects_sha256'",
        "UPDATE installation SET value = (SELECT value FROM aside) WHERE name = 'objects_sha256';;DROP TABLE aside", on="postgres"),
    sql("schema.triggers", "ALTER TABLE session_feedback DISABLE TRIGGER after_session_feedback",
        "ALTER TABLE session_feedback ENABLE TRIGGER after_session_feedback", on="postgres"),
    sql("months.made", "ALTER TABLE audio_files_y2026m12 RENAME TO away", "ALTER TABLE away RENAME TO audio_files_y2026m12", on="postgres"),
    sql("months.strays", "INSERT INTO sessions (user_id, id, start_time) SELECT '{alice}', uuidv7_at(m), m FROM (SELECT '2031-01-01Z'::timestamptz AS m) AS far_off",
        "DELETE FROM sessions_default", on="postgres"),
    sql("log.append_only", "GRANT DELETE ON audit_events TO stillwave_app", "REVOKE DELETE ON audit_events FROM stillwave_app", on="postgres"),
    sql("log.chains", "UPDATE audit_events SET action = 'export.made' WHERE user_id = '{bob}' AND seq = 1",
        "UPDATE audit_events SET action = 'account.created' WHERE user_id = '{bob}' AND seq = 1"),
    sql("log.chains", "UPDATE audit_events SET seq = 77 WHERE user_id = '{bob}' AND seq = 2", "UPDATE audit_events SET seq = 2 WHERE user_id = '{bob}' AND seq = 77"),
    on_disk("log.holds", "a tail cut off", lambda house: [a_checkpoint(house, heads=True)]),
    on_disk("log.holds", "another's", lambda house: [a_checkpoint(house, mac="0" * 64)]),
    on_disk("log.checkpoint", "old", lambda house: [a_checkpoint(house, at=NOW - dt.timedelta(days=3))]),
    sql("attestations.whole", f"INSERT INTO attestations VALUES ('rest.volume', '{{now}}', '2027-01-01', 'trust me', '{HASH}')", "DELETE FROM attestations"),
    sql("reports.whole", f"INSERT INTO inspections VALUES ('{{bob}}', '{{now}}', '{{{{}}}}', '{HASH}')", "DELETE FROM inspections"),
    # the way to people
    setting("tls.https", base_url="http://calm.example.org"),
    setting("tls.listening", host="0.0.0.0"),  # noqa: S104  a setting, nothing listens
    setting("tls.mail", smtp_url="smtp://post.example.org:587"),
    setting("metrics.token", metrics_token="short"),
    told("tls.database", "prefer", lambda house: View(msgspec.structs.replace(house.settings, database_url="postgresql://a@db.example.org/b")), on="postgres"),
    linked("tls.certificate", refused="browsers refuse it: self-signed certificate", until=None),
    linked("tls.certificate", until=NOW + dt.timedelta(days=9)),
    linked("tls.version", version="TLSv1.1"),
    linked("tls.redirect", plain=Answer(200, {})),
    answering("headers.hsts", strict_transport_security=""),
    answering("headers.csp", content_security_policy="default-src *; frame-ancestors 'none'"),
    answering("headers.frames", content_security_policy="default-src 'self'; object-src 'none'"),
    answering("headers.nosniff", x_content_type_options=""),
    answering("headers.referrer", referrer_policy="unsafe-url"),
    answering("headers.no_store", cache_control="public, max-age=60"),
    answering("headers.banner", server="nginx/1.18.0"),
    answering("metrics.closed", path="/metrics"),
    # programs
    told("packages.holes", "jinja2", lambda house: View(house.settings, installed=Installed({"jinja2": "3.1.5"}, {}))),
    told("packages.lock", "jinja2", lambda house: View(house.settings, installed=Installed({"jinja2": "3.1.7"}, {"jinja2": frozenset({"3.1.6"})}))),
    pytest.param("both", "limits.tries", otherwise(RULES, "sign_in_account", "1000/minute"), id="limits.tries"),
    pytest.param("postgres", "packages.engine", holed, id="packages.engine"),
    pytest.param("postgres", "leak.statements", logging_all, id="leak.statements"),
    # retention, consent, erasure
    told("retention.overdue", "sessions", lambda house: View(house.settings, housekeeping=Housekeeping({"sessions": 3}, clock_trusted=True))),
    told("clock.trusted", "jump", lambda house: View(house.settings, housekeeping=Housekeeping({}, clock_trusted=False))),
    sql("retention.overdue", f"INSERT INTO recoveries VALUES ('{{bob}}', '{HASH}', '2026-11-20T00:00:00.000Z', '2026-11-20T01:00:00.000Z')", "DELETE FROM recoveries"),
    sql("consent.health", "UPDATE consents SET given_at = '2026-11-25T12:00:00.000Z' WHERE user_id = '{bob}' AND purpose = 'health_data'",
        "UPDATE consents SET given_at = '{now}' WHERE user_id = '{bob}'"),
    sql("consent.wording", "CREATE TABLE aside AS SELECT id, text_sha256 FROM consents;;" f"UPDATE consents SET text_sha256 = '{HASH}' WHERE user_id = '{{bob}}'",
        "UPDATE consents SET text_sha256 = (SELECT text_sha256 FROM aside WHERE aside.id = consents.id);;DROP TABLE aside", on="sqlite"),
    sql("consent.wording", "CREATE TEMP TABLE aside AS SELECT id, text_sha256 FROM consents;;" f"UPDATE consents SET text_sha256 = '{HASH}' WHERE user_id = '{{bob}}'",
        "UPDATE consents SET text_sha256 = (SELECT text_sha256 FROM aside WHERE aside.id = consents.id);;DROP TABLE aside", on="postgres"),
    sql("erasure.cascade", "ALTER TABLE logins DROP CONSTRAINT fk_user",
        "ALTER TABLE logins ADD CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE", on="postgres"),
    sql("erasure.cascade", "PRAGMA foreign_keys = OFF;;INSERT INTO reminders (user_id, kind) VALUES ('00000000-0000-7000-8000-000000000001', 'morning')",
        "DELETE FROM reminders;;PRAGMA foreign_keys = ON", on="sqlite"),
    sql("erasure.jobs", "INSERT INTO jobs (user_id, id, kind, subject, lane, created_at, due_at) VALUES ('00000000-0000-7000-8000-000000000001', '{bob}', 'measure', '', 'slow',"
        " '2026-11-20T00:00:00.000Z', '2026-11-26T00:00:00.000Z')", "DELETE FROM jobs"),
    # work, limits, leaks, breaches
    sql("jobs.dead", "INSERT INTO jobs (user_id, id, kind, subject, lane, created_at, due_at, dead_at) VALUES ('{bob}', '{bob}', 'measure', '', 'slow', '{now}', '{now}', '{now}')",
        "DELETE FROM jobs"),
    sql("jobs.late", "INSERT INTO jobs (user_id, id, kind, subject, lane, created_at, due_at) VALUES ('{bob}', '{bob}', 'measure', '', 'slow', '{now}', '2026-11-25T07:00:00.000Z')",
        "DELETE FROM jobs"),
    sql("leak.job_errors", "INSERT INTO jobs (user_id, id, kind, subject, lane, created_at, due_at, last_error)"
        " VALUES ('{bob}', '{bob}', 'measure', '', 'slow', '{now}', '2026-11-25T11:00:00.000Z', 'bob@example.org is unknown')", "DELETE FROM jobs"),
    on_disk("leak.logs", "e-mail", a_log("sent to alice@example.org")),
    on_disk("leak.logs", "phone", a_log("called +41446681800")),
    on_disk("leak.logs", "token", a_log("Authorization: Bearer AZOdigAAcACAAAAAAAAAAaaaa")),
    on_disk("leak.logs", "key", a_log("root key " + ROOT_KEY)),
    sql("breaches.clock", "INSERT INTO breaches (id, since_at, until_at, known_at, what, people) VALUES ('{bob}', '2026-11-01T00:00:00.000Z',"
        " '2026-11-02T00:00:00.000Z', '2026-11-20T00:00:00.000Z', 'backup', 2)", "DELETE FROM breaches"),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_clean_install_has_nothing_to_look_at(houses: dict[str, House], engine: str) -> None:
    report = inspected(houses[engine])
    assert report.open() == []
    assert report.counts()["PASS"] == len(report.findings) >= 55


@pytest.mark.parametrize(("engine", "check", "planted"), [
    pytest.param(engine, *plant.values[1:], id=f"{engine}-{plant.id}")
    for engine in ("sqlite", "postgres") for plant in PLANTS if plant.values[0] in ("both", engine)
])  # fmt: skip
def test_what_is_wrong_is_found_by_its_own_check_and_by_no_other(
    houses: dict[str, House], engine: str, check: str, planted: Callable[[House], tuple[View, Undo]]
) -> None:
    house = houses[engine]
    view, undo = planted(house)
    try:
        found = wrong(house, view)
    finally:
        undo()
    assert found == {check}


def test_every_check_has_a_plant() -> None:
    planted = {plant.values[1] for plant in PLANTS} | {"roles.login", "roles.step_up", "roles.bypass", "roles.member"}
    # Where the disk is full, or one role does everything, this test could not run.
    assert {check.id for check in CHECKS} - planted == {"rest.room", "roles.one"}
    assert len(planted) >= 40


@pytest.mark.parametrize(("change", "check"), [
    ("ALTER ROLE stillwave_auditor BYPASSRLS", "roles.bypass"), ("ALTER ROLE stillwave_app SUPERUSER", "roles.bypass"),
    ("GRANT stillwave_owner TO stillwave_app", "roles.member"), ("GRANT stillwave_migrator TO stillwave_retention", "roles.member"),
])  # fmt: skip
def test_a_role_that_may_more_is_found(houses: dict[str, House], change: str, check: str) -> None:
    """Seen from inside one transaction that is rolled back: all databases of a server share its roles."""
    with psycopg.connect(houses["postgres"].settings.database_url) as admin:
        admin.execute(change)
        told = admin.execute(facts.SQL.house_inspected.postgres, facts._declared()).fetchall()
        admin.rollback()
    found = {row[0] for row in told} - {"roles.login"}
    # A superuser may everything, so that everything else speaks up as well.
    assert found == {check} if "SUPERUSER" not in change else check in found


@pytest.mark.parametrize(("grants", "check"), [("SUPERUSER", "roles.login"), ("IN ROLE stillwave_migrator, stillwave_app, stillwave_retention", "roles.step_up")])
def test_a_login_of_the_server_that_may_more_is_found(houses: dict[str, House], grants: str, check: str) -> None:
    house = houses["postgres"]
    name = f"stillwave_test_{uuid.uuid4().hex[:12]}"
    house.admin.execute(f"CREATE ROLE {name} LOGIN {grants}")
    other = PostgresDatabase(make_conninfo(house.settings.database_url, user=name), house.database.vault)
    try:
        other.open()
        assert wrong(house._replace(database=other)) == {check}
    finally:
        other.close()
        house.admin.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_what_is_vouched_for_counts_until_its_day(houses: dict[str, House], engine: str) -> None:
    house = houses[engine]
    _said(house, "backup.age")
    _said(house, "log.checkpoint")
    if engine == "postgres":
        _said(house, "rest.volume")
    try:
        report = inspected(house, after_a_week(house))
        assert report.open() == []
        assert report.counts()["ATTESTED"] == (3 if engine == "postgres" else 2)
        late = after_a_week(house)._replace(now=LATER + dt.timedelta(days=31), probe=Probe())
        assert {"backup.age", "log.checkpoint"} <= wrong(house, late)
    finally:
        house.admin.execute("DELETE FROM attestations")


def test_only_what_cannot_be_seen_can_be_vouched_for(houses: dict[str, House]) -> None:
    with houses["sqlite"].database.write() as tx:
        with pytest.raises(NotFound, match=r"rest\.volume"):
            actions.attest(tx, "rest.nothing", NOW.date(), "x", NOW)
        with pytest.raises(Conflict, match="put it right"):
            actions.attest(tx, "fields.sealed", NOW.date(), "x", NOW)
        for until in (NOW.date() - dt.timedelta(days=1), NOW.date() + dt.timedelta(days=367)):
            with pytest.raises(BadInput):
                actions.attest(tx, "rest.volume", until, "x", NOW)
        with pytest.raises(BadInput):
            actions.attest(tx, "rest.volume", NOW.date(), " ", NOW)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_reports_are_kept_and_compared_with_the_last(houses: dict[str, House], engine: str) -> None:
    house = houses[engine]
    try:
        actions.keep(house.database, inspected(house))
        house.admin.execute(f"UPDATE users SET password_hash = '$2b$12$abc' WHERE id = '{house.bob}'")
        report = inspected(house, View(house.settings, now=NOW + dt.timedelta(hours=1)))
        assert [(change.id, change.before, change.after) for change in report.changes] == [("passwords.kind", "PASS", "FAIL")]
        assert rules.too_bad(report, "high")
        actions.keep(house.database, report)
        with house.database.read() as tx:
            assert actions.last(tx) == report
            assert not operator.audited(tx, NOW).ok  # something is open
            assert "worker" in operator.audited(tx, NOW + dt.timedelta(days=4)).value  # too old to say anything
        house.admin.execute(f"UPDATE users SET password_hash = '{PASSWORD}'")
        after = inspected(house, View(house.settings, now=NOW + dt.timedelta(hours=2)))
        actions.keep(house.database, after)
        with house.database.read() as tx:
            assert operator.audited(tx, NOW + dt.timedelta(hours=3)).ok
        text = rules.as_text(report)
        assert "passwords.kind: PASS -> FAIL" in text
        for personal in (str(house.alice), ALICE.email, BOB.phone_number, ROOT_KEY):
            assert personal not in text
    finally:
        house.admin.execute(f"UPDATE users SET password_hash = '{PASSWORD}'")
        house.admin.execute("DELETE FROM inspections")


def test_both_engines_look_into_every_sealed_column() -> None:
    here = Path(facts.__file__).parent
    texts = [
        (here / "queries.sqlite.sql").read_text(),
        (here.parent / "db/sql/postgres/functions/84_rows_inspected.sql").read_text(),
    ]
    for table in TABLES:
        for column in table.columns:
            if column.sealed:
                assert [f"'{table.name}.{column.name}'" in text for text in texts] == [True, True], f"{table.name}.{column.name}"
