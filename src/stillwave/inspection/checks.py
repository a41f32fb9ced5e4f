"""The one table of checks of the security audit. Pure: each looks at facts that were read before.

Laws: GDPR by article, HIPAA by paragraph of 45 CFR 164, ASVS by requirement of OWASP ASVS 5.0.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from stillwave.inspection.rules import Check, Facts, Seen

Look = Callable[[Facts], Seen | None]
_PLAIN_HEADS: Final = (b"SQLite format 3\0", b"PGDMP", b"-- PostgreSQL da", b"--\n-- PostgreSQL")
_BACKUP_AGE = dt.timedelta(days=2)
_VERIFIED_WITHIN = dt.timedelta(days=35)
_KEY_COPY_AGE = dt.timedelta(days=35)
_CHECKPOINT_AGE = dt.timedelta(days=2)
_CERTIFICATE_LEFT = dt.timedelta(days=14)
_LATE = dt.timedelta(hours=1)
_LEAST_DISK_BYTES = 1024**3
_LEAST_TOKEN = 16
_MONTHS_AHEAD = 2
_SHOWN = 5
# Tries that a limit may allow at most, per hour.
_MOST_PER_HOUR: Final = {"sign_in_account": 60, "sign_in_address": 240, "recover_account": 10, "reset_account": 30, "password_account": 30}
_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86400}


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _none_of(names: Sequence[str], nothing: str = "nothing found") -> Seen:
    return Seen(not names, _names(names) if names else nothing)


def _told(check_id: str) -> Look:
    """What the database itself told about this check."""
    return lambda facts: _none_of(facts.told.get(check_id, ()))


def _count(of: Callable[[Facts], int], what: str) -> Look:
    return lambda facts: Seen(of(facts) == 0, f"{of(facts)} {what}")


# --- at rest ------------------------------------------------------------------------------------


def _is_open(mode: int) -> bool:
    return bool(mode & 0o077)


def _encrypted(facts: Facts) -> Seen:
    plain = [file.name for file in facts.files if file.name in ("stillwave.db", "keys.db") and file.head.startswith(_PLAIN_HEADS)]
    return _none_of(plain, "no readable header in stillwave.db or keys.db")


def _no_plain_copies(facts: Facts) -> Seen:
    return _none_of(
        [f.name for f in facts.files if f.name not in ("stillwave.db", "keys.db") and f.head.startswith(_PLAIN_HEADS)]
    )


def _folder(facts: Facts) -> Seen:
    passing = 0o011  # to a name that is known; the packaged PostgreSQL needs it, and nothing can be listed with it
    return Seen(not _is_open(facts.folder_mode & ~passing), f"rights {facts.folder_mode:04o}")


def _modes(facts: Facts) -> Seen:
    return _none_of([f"{file.name} {file.mode:04o}" for file in facts.files if _is_open(file.mode)], "for its owner alone")


def _root_key(facts: Facts) -> Seen:
    if facts.root_key_file is None:
        return Seen(True, "in the environment")
    return Seen(not _is_open(facts.root_key_file.mode), f"rights {facts.root_key_file.mode:04o}")


def _after_grace(facts: Facts, asked: str) -> Seen:
    """What only the operator can do counts once somebody has had an account for a week."""
    return Seen(not facts.grown, asked if facts.grown else f"{asked}; due a week after the first account")


def _key_copies_young(facts: Facts) -> Seen:
    return _none_of([f.name for f in facts.key_copies if facts.now - f.modified_at > _KEY_COPY_AGE], f"{len(facts.key_copies)} copies")


# --- backups ------------------------------------------------------------------------------------


def _backup_age(facts: Facts) -> Seen:
    if not facts.backups:
        return _after_grace(facts, "there is no backup in STILLWAVE_BACKUP_DIR")
    age = facts.now - max(backup.made_at for backup in facts.backups)
    return Seen(age <= _BACKUP_AGE, f"the newest is {_spoken(age)} old")


def _backup_verified(facts: Facts) -> Seen | None:
    if not facts.backups:
        return None
    tried = [backup for backup in facts.backups if backup.verified and facts.now - backup.made_at <= _VERIFIED_WITHIN]
    newest = max(tried, key=lambda backup: backup.made_at, default=None)
    return Seen(newest is not None, f"{newest.name} was tried" if newest else "none was tried")


def _backup_mode(facts: Facts) -> Seen | None:
    mode = facts.backup_dir_mode
    return None if mode is None else Seen(not _is_open(mode), f"rights {mode:04o}")


def _spoken(age: dt.timedelta) -> str:
    return f"{age.days} days" if age.days > 1 else f"{age.total_seconds() / 3600:.0f} hours"


# --- the audit log ------------------------------------------------------------------------------


def _checkpoint_age(facts: Facts) -> Seen:
    if facts.checkpoint is None:
        return _after_grace(facts, "STILLWAVE_CHECKPOINT_DIR is not set")
    if facts.checkpoint.at is None:
        return _after_grace(facts, "there is no checkpoint yet")
    age = facts.now - facts.checkpoint.at
    return Seen(age <= _CHECKPOINT_AGE, f"the newest is {_spoken(age)} old")


def _checkpoint_holds(facts: Facts) -> Seen | None:
    if facts.checkpoint is None:
        return None
    return Seen(facts.checkpoint.wrong is None, facts.checkpoint.wrong or "the log holds what it saw")


def _chains(facts: Facts) -> Seen:
    return Seen(facts.broken_chains == 0, f"{facts.broken_chains} of {facts.chains} chains are broken")


# --- the way to people --------------------------------------------------------------------------


def _https(facts: Facts) -> Seen:
    return Seen(facts.local or facts.base_url.startswith("https://"), "this machine only" if facts.local else facts.base_url)


def _listening(facts: Facts) -> Seen:
    here = facts.host in ("127.0.0.1", "::1", "localhost")
    return Seen(here, f"listens on {facts.host}")


def _mail(facts: Facts) -> Seen | None:
    if facts.smtp_url is None:
        return None
    parts = urlsplit(facts.smtp_url)
    here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return Seen(here or parts.scheme == "smtps", "on this machine" if here else f"{parts.scheme}://")


def _database_link(facts: Facts) -> Seen | None:
    if facts.database_host is None:
        return None
    return Seen(facts.database_tls, "on this machine, or TLS is required" if facts.database_tls else "sslmode does not require TLS")


def _header(name: str, *wanted: str, path: str = "/sign-in", only_https: bool = False) -> Look:
    """The server's answer carries this header with these words; nothing to see where it was not asked."""

    def look(facts: Facts) -> Seen | None:
        answer = facts.answers.get(path)
        if answer is None or (only_https and not facts.base_url.startswith("https://")):
            return None
        told = answer.headers.get(name, "")
        return Seen(bool(told) and all(word in told for word in wanted), told[:120] or "absent")

    return look


def _hidden(path: str) -> Look:
    """Strangers who ask by the public name get nothing at this address."""

    def look(facts: Facts) -> Seen | None:
        answer = facts.answers.get(path)
        return None if answer is None else Seen(answer.status in (401, 403, 404), f"{path} answers {answer.status}")

    return look


def _no_banner(facts: Facts) -> Seen | None:
    answer = facts.answers.get("/sign-in")
    if answer is None:
        return None
    told = answer.headers.get("server", "") or answer.headers.get("x-powered-by", "")
    return Seen(not any(c.isdigit() for c in told), told or "no version is told")


def _certificate(facts: Facts) -> Seen | None:
    if facts.link is None:
        return None
    if facts.link.refused:
        return Seen(False, facts.link.refused)
    left = facts.link.until - facts.now if facts.link.until else dt.timedelta()
    return Seen(left > _CERTIFICATE_LEFT, f"valid for another {left.days} days")


def _tls_version(facts: Facts) -> Seen | None:
    if facts.link is None or facts.link.version is None:
        return None
    return Seen(facts.link.version in ("TLSv1.2", "TLSv1.3"), facts.link.version)


def _redirect(facts: Facts) -> Seen | None:
    if facts.link is None or facts.link.plain is None:
        return None
    to = facts.link.plain.headers.get("location", "")
    return Seen(facts.link.plain.status in range(300, 400) and to.startswith("https://"), f"http:// answers {facts.link.plain.status}")


# --- the rest -----------------------------------------------------------------------------------


def _limits(facts: Facts) -> Seen:
    lax = [name for name, most in _MOST_PER_HOUR.items() if _per_hour(facts.limits.get(name, "")) > most]
    return _none_of(lax, "as shipped or stricter")


def _per_hour(rule: str) -> float:
    """How many an hour a rule such as `10/15 minute` allows; no rule allows any number."""
    try:
        amount, _, span = rule.partition("/")
        words = span.split()
        return int(amount) * 3600 / ((int(words[0]) if len(words) > 1 else 1) * _SECONDS[words[-1]])
    except (ValueError, KeyError, IndexError):
        return float("inf")


def _token(facts: Facts) -> Seen | None:
    token = facts.metrics_token
    return None if token is None else Seen(len(token) >= _LEAST_TOKEN, f"{len(token)} characters")


def _months(facts: Facts) -> Seen | None:
    made = facts.months_ahead
    return None if made is None else Seen(made >= _MONTHS_AHEAD, f"{made} months from this one on")


def _overdue(facts: Facts) -> Seen:
    return _none_of([f"{count} of {name}" for name, count in facts.overdue.items() if count], "nothing is a day late")


def _opens(facts: Facts) -> Seen:
    return Seen(facts.unopened == 0, f"{facts.opened} of {facts.opened + facts.unopened} looked at open")


def _disk(facts: Facts) -> Seen:
    return Seen(facts.free_bytes >= _LEAST_DISK_BYTES, f"{facts.free_bytes / 1024**3:.1f} GiB free")


def _engine_version(facts: Facts) -> Seen:
    return Seen(facts.old_engine is None, facts.old_engine or "no known hole in this version")


def _volume(facts: Facts) -> Seen:
    return _after_grace(facts, "PostgreSQL keeps scores, times and effects readable in its files")


def _check(group: str, check_id: str, severity: str, title: str, law: str, look: Look, advice: str, **more: object) -> Check:
    return Check(id=check_id, group=group, severity=severity, title=title, law=law, look=look, advice=advice, **more)  # type: ignore[arg-type]


_ON_POSTGRES = {"only_on": "postgres"}
_MIGRATE = "Find out who changed it, then run: stillwave db migrate (roles and policies are put right by the next upgrade; by hand: see docs/operating.md)."

CHECKS: Final[tuple[Check, ...]] = (
    _check("At rest", "rest.encrypted", "high", "Database and key store are encrypted", "GDPR 32(1)(a); HIPAA 312(a)(2)(iv); ASVS 14.2.4",
           _encrypted, "Stop the server. Restore the last encrypted copy, and find out who replaced the file."),
    _check("At rest", "rest.plain_copies", "high", "No readable dump or copy lies in the data folder", "GDPR 32(1)(a); ASVS 14.2.4",
           _no_plain_copies, "Delete the file, or move it to where backups lie encrypted."),
    _check("At rest", "rest.volume", "medium", "The disk beneath PostgreSQL is encrypted", "GDPR 32(1)(a); HIPAA 312(a)(2)(iv)",
           _volume, "Encrypt the volume, then say so: stillwave audit attest rest.volume --until DATE.", attestable=True, **_ON_POSTGRES),
    _check("At rest", "rest.sounds", "medium", "Only sealed sound files lie in the audio folder", "GDPR 32(1)(a); ASVS 14.2.4",
           lambda facts: _none_of(facts.strange_sounds, "all are sealed"), "Remove what is not sealed."),
    _check("At rest", "rest.folder", "high", "The data folder is its owner's alone", "ASVS 13.3.2; HIPAA 312(a)(1)",
           _folder, "chmod 700 the data folder."),
    _check("At rest", "rest.modes", "high", "No file in the data folder is open to others", "ASVS 13.3.2; HIPAA 312(a)(1)",
           _modes, "chmod 600 these files."),
    _check("At rest", "rest.room", "medium", "The disk has room", "GDPR 32(1)(b); HIPAA 308(a)(7)", _disk, "Free some space."),
    _check("Keys", "keys.root", "high", "Nobody else can read the root key", "ASVS 13.3.2; HIPAA 312(a)(2)(iv)",
           _root_key, "chmod 600 the file of the root key; if others had the chance to read it, rotate it."),
    _check("Keys", "keys.root_apart", "high", "The root key lies in no backup", "GDPR 32(1)(a); ASVS 13.3.1",
           lambda facts: Seen(not facts.root_key_in_backups, "beside the backups" if facts.root_key_in_backups else "not among the backups"),
           "Take the root key out of STILLWAVE_BACKUP_DIR: keep one copy offline."),
    _check("Keys", "keys.apart", "medium", "The key store is backed up apart from the database", "GDPR 17, 32(1)(a); ASVS 13.3.1",
           lambda facts: _none_of([b.name for b in facts.backups if b.beside_keys], "never in one folder"),
           "Keep copies of keys.db in another place than copies of the database, so that a thief needs both."),
    _check("Keys", "keys.copies", "medium", "Copies of the key store are younger than 35 days", "GDPR 17",
           _key_copies_young, "Delete old copies of keys.db: the key of an erased person lives on in them."),
    _check("Sealed fields", "fields.sealed", "high", "Every sealed column holds envelopes only", "GDPR 32(1)(a), 9; ASVS 14.2.4",
           _told("fields.sealed"), "Something wrote past the program. Seal or remove these values, and find out what did."),
    _check("Sealed fields", "fields.checks", "high", "The database refuses what is not sealed", "GDPR 25; ASVS 14.2.4",
           _told("fields.checks"), _MIGRATE),
    _check("Sealed fields", "fields.open", "high", "What is sealed opens with its person's key", "GDPR 32(1)(b); HIPAA 312(c)(1)",
           _opens, "The key store is not the one of this database, or values were moved. Put the right keys.db back from the backup."),
    _check("Passwords", "passwords.kind", "high", "Every password is stored as Argon2id", "ASVS 11.4.2; GDPR 32(1)(a)",
           _told("passwords.kind"), "These are hashed anew at the next sign-in. Long-gone people: stillwave user recover, or disable."),
    _check("Passwords", "passwords.cost", "medium", "Every hash has the strength of RFC 9106", "ASVS 11.4.2",
           _told("passwords.cost"), "They are hashed anew at the next sign-in; ask these people to sign in once."),
    _check("Accounts", "accounts.second_step", "high", "Every operator has a second step", "ASVS 6.3.3; HIPAA 312(d)",
           _told("accounts.second_step"), "Let them set it up under /security, or take the role away."),
    _check("Accounts", "accounts.dormant", "low", "No operator has been away for 90 days", "HIPAA 308(a)(3)(ii)(C)",
           _told("accounts.dormant"), "Switch accounts off that are not needed: stillwave user disable."),
    _check("Accounts", "accounts.logins", "medium", "No login lasts longer than 30 days", "ASVS 7.3.2; HIPAA 312(a)(2)(iii)",
           _told("accounts.logins"), "End these logins; something wrote past the program."),
    _check("Accounts", "accounts.demo", "medium", "There is no demo account where the public comes", "ASVS 6.3.2",
           lambda facts: Seen(facts.local or not facts.told.get("accounts.demo"), "this machine only" if facts.local else "none"
                              if not facts.told.get("accounts.demo") else "there is one"),
           "Erase the demo account."),
    _check("Row-level security", "rls.on", "high", "Row-level security is on for every table and partition", "ASVS 8.2.2; GDPR 25",
           _told("rls.on"), _MIGRATE, **_ON_POSTGRES),
    _check("Row-level security", "rls.forced", "high", "It holds for the owner of the tables too", "ASVS 8.2.2",
           _told("rls.forced"), _MIGRATE, **_ON_POSTGRES),
    _check("Row-level security", "rls.policies", "high", "Every table has its policies", "ASVS 8.2.2",
           _told("rls.policies"), _MIGRATE, **_ON_POSTGRES),
    _check("Row-level security", "rls.open", "high", "No policy shows more than a person's own rows", "ASVS 8.2.2",
           _told("rls.open"), "DROP POLICY, and find out who made it.", **_ON_POSTGRES),
    _check("Row-level security", "roles.bypass", "high", "No role of the program can go around it", "ASVS 13.2.2",
           _told("roles.bypass"), "ALTER ROLE ... NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION NOLOGIN.", **_ON_POSTGRES),
    _check("Row-level security", "roles.login", "high", "The server's login is no superuser", "ASVS 13.2.2; HIPAA 312(a)(1)",
           _told("roles.login"), "Make a login of its own for the server: docs/operating.md, PostgreSQL.", **_ON_POSTGRES),
    _check("Row-level security", "roles.step_up", "low", "The server's login cannot become the owner", "ASVS 13.2.2",
           _told("roles.step_up"), "Make a login of its own for the server: docs/operating.md, PostgreSQL.", **_ON_POSTGRES),
    _check("Row-level security", "roles.one", "low", "The program has roles of its own", "ASVS 13.2.2",
           _told("roles.one"), "Where the hosting allows roles: stillwave db init without --one-role.", attestable=True, **_ON_POSTGRES),
    _check("Row-level security", "roles.member", "high", "The server's roles are no members of the owner", "ASVS 13.2.2",
           _told("roles.member"), "REVOKE the membership.", **_ON_POSTGRES),
    _check("Row-level security", "roles.truncate", "high", "No role may empty, refer to or put triggers on a table", "ASVS 13.2.2",
           _told("roles.truncate"), "REVOKE these privileges.", **_ON_POSTGRES),
    _check("Row-level security", "roles.public", "high", "PUBLIC may touch no table", "ASVS 13.2.2",
           _told("roles.public"), "REVOKE ALL ON the table FROM PUBLIC.", **_ON_POSTGRES),
    _check("Row-level security", "roles.columns", "high", "The server can make nobody an operator", "ASVS 8.2.3",
           _told("roles.columns"), "REVOKE UPDATE (role, subscription_tier) ON users FROM stillwave_app.", **_ON_POSTGRES),
    _check("Row-level security", "functions.path", "high", "Functions with the owner's rights have a fixed search_path", "ASVS 13.2.2",
           _told("functions.path"), "ALTER FUNCTION ... SET search_path = public, pg_temp.", **_ON_POSTGRES),
    _check("Row-level security", "functions.public", "high", "PUBLIC may call none of them", "ASVS 13.2.2",
           _told("functions.public"), "REVOKE ALL ON FUNCTION ... FROM PUBLIC.", **_ON_POSTGRES),
    _check("Row-level security", "views.invoker", "high", "Views show what their reader may see", "ASVS 8.2.2",
           _told("views.invoker"), "ALTER VIEW ... SET (security_invoker = true).", **_ON_POSTGRES),
    _check("Row-level security", "schema.create", "high", "PUBLIC can make nothing in the schema", "ASVS 13.2.2",
           _told("schema.create"), "REVOKE CREATE ON SCHEMA public FROM PUBLIC.", **_ON_POSTGRES),
    _check("Row-level security", "schema.temporary", "medium", "PUBLIC can make no temporary tables", "ASVS 13.2.2",
           _told("schema.temporary"), "REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC.", **_ON_POSTGRES),
    _check("Row-level security", "schema.owner", "medium", "Everything belongs to stillwave_owner", "ASVS 13.2.2",
           _told("schema.owner"), _MIGRATE, **_ON_POSTGRES),
    _check("Schema", "schema.current", "medium", "Schema, functions and policies are this program's", "ASVS 15.2.1",
           lambda facts: Seen(facts.schema == "current", facts.schema), "Run: stillwave db migrate."),
    _check("Schema", "schema.triggers", "medium", "Every trigger is there and on", "HIPAA 312(c)(1)",
           _told("schema.triggers"), _MIGRATE),
    _check("Schema", "months.made", "medium", "The coming months have their partitions", "GDPR 32(1)(b)",
           _months, "Let the worker run; it makes them hourly."),
    _check("Schema", "months.strays", "medium", "No row lies outside of its month", "GDPR 5(1)(e)",
           _count(lambda facts: facts.strays, "rows in default partitions"), "Let the worker run; for months before the last 100 days: SELECT ensure_partitions(first day, last day)."),
    _check("Audit log", "log.chains", "high", "No event of the audit log was changed or removed", "HIPAA 312(b), 312(c)(1); GDPR 5(2); ASVS 16.4.2",
           _chains, "Run: stillwave audit-log verify. It names the chains. Treat it as a breach until you know better."),
    _check("Audit log", "log.append_only", "high", "The server can only add to it", "ASVS 16.4.2; HIPAA 312(b)",
           _told("log.append_only"), "REVOKE UPDATE, DELETE ON audit_events FROM stillwave_app.", **_ON_POSTGRES),
    _check("Audit log", "log.checkpoint", "low", "Its ends are noted elsewhere, at least every two days", "ASVS 16.4.3; HIPAA 312(b)",
           _checkpoint_age, "Set STILLWAVE_CHECKPOINT_DIR to a place away from the database, such as a mounted share.", attestable=True),
    _check("Audit log", "log.holds", "high", "It holds what the newest checkpoint saw", "ASVS 16.4.2; HIPAA 312(c)(1)",
           _checkpoint_holds, "Events were cut off, or the checkpoint was changed. Treat it as a breach until you know better."),
    _check("Audit log", "reports.whole", "medium", "The last hundred reports of this audit are as they were written", "HIPAA 316(b)(2)(i)",
           _count(lambda facts: facts.altered_reports, "altered"), "Somebody wrote past the program. Find out who."),
    _check("Audit log", "attestations.whole", "medium", "Every attestation was said through the program", "HIPAA 316(b)(2)(i)",
           _count(lambda facts: facts.forged_attestations, "forged"), "Somebody wrote past the program; what is forged does not count."),
    _check("Backup and restore", "backup.age", "high", "The newest backup is younger than two days", "GDPR 32(1)(c); HIPAA 308(a)(7)(ii)(A)",
           _backup_age, "Run: stillwave backup (daily, by cron), or vouch for another way: stillwave audit attest backup.age --until DATE.", attestable=True),
    _check("Backup and restore", "backup.verified", "medium", "A backup of the last five weeks was tried", "GDPR 32(1)(d); HIPAA 308(a)(7)(ii)(D)",
           _backup_verified, "Run: stillwave backup verify FILE. It restores into a scratch database and compares everything.", attestable=True),
    _check("Backup and restore", "backup.mode", "high", "Backups are their owner's alone", "GDPR 32(1)(a); ASVS 13.3.2",
           _backup_mode, "chmod 700 STILLWAVE_BACKUP_DIR."),
    _check("TLS and headers", "tls.https", "high", "People reach it over TLS", "GDPR 32(1)(a); HIPAA 312(e)(1); ASVS 12.2.1",
           _https, "Put a proxy with TLS before it and set STILLWAVE_BASE_URL=https://...: docs/operating.md, TLS."),
    _check("TLS and headers", "tls.listening", "medium", "Nobody reaches it past the proxy", "HIPAA 312(e)(1); ASVS 12.2.1",
           _listening, "Set STILLWAVE_HOST=127.0.0.1 and let the proxy on this machine pass requests on.", attestable=True),
    _check("TLS and headers", "tls.mail", "medium", "Mails leave over TLS", "HIPAA 312(e)(1); ASVS 12.3.1",
           _mail, "Use smtps://; smtp:// goes on in plain text where somebody between strips STARTTLS away.", attestable=True),
    _check("TLS and headers", "tls.database", "high", "The way to the database is encrypted", "HIPAA 312(e)(1); ASVS 12.3.1",
           _database_link, "Add ?sslmode=verify-full to STILLWAVE_DATABASE_URL.", attestable=True),
    _check("TLS and headers", "tls.certificate", "high", "The certificate is good for another two weeks", "ASVS 12.2.2",
           _certificate, "Renew it; let the proxy do so by itself."),
    _check("TLS and headers", "tls.version", "high", "TLS 1.2 or 1.3 is spoken", "ASVS 12.1.1", _tls_version, "Switch older versions off in the proxy."),
    _check("TLS and headers", "tls.redirect", "medium", "http:// leads to https://", "ASVS 12.2.1", _redirect, "Let the proxy redirect."),
    _check("TLS and headers", "headers.hsts", "high", "Browsers stay with TLS", "ASVS 3.4.1",
           _header("strict-transport-security", "max-age=", only_https=True), "The proxy takes the header away: let it pass."),
    _check("TLS and headers", "headers.csp", "high", "Pages run no foreign or inline script", "ASVS 3.4.3",
           _header("content-security-policy", "default-src 'self'", "object-src 'none'"), "The proxy changes the header: let it pass."),
    _check("TLS and headers", "headers.frames", "medium", "Nobody frames a page", "ASVS 3.4.6",
           _header("content-security-policy", "frame-ancestors 'none'"), "The proxy changes the header: let it pass."),
    _check("TLS and headers", "headers.nosniff", "medium", "Browsers take types at their word", "ASVS 3.4.4",
           _header("x-content-type-options", "nosniff"), "The proxy takes the header away: let it pass."),
    _check("TLS and headers", "headers.referrer", "medium", "No address leaks to other sites", "ASVS 3.4.5",
           _header("referrer-policy", "no-referrer"), "The proxy takes the header away: let it pass."),
    _check("TLS and headers", "headers.no_store", "high", "Pages are kept in no cache", "ASVS 14.3.2",
           _header("cache-control", "no-store"), "The proxy caches or rewrites: switch that off for everything but /static/."),
    _check("TLS and headers", "headers.banner", "low", "No version is told to strangers", "ASVS 13.4.6",
           _no_banner, "Switch the banner of the proxy off (nginx: server_tokens off)."),
    _check("TLS and headers", "metrics.closed", "medium", "Strangers see no metrics", "ASVS 13.4.5",
           _hidden("/metrics"), "Set STILLWAVE_METRICS_TOKEN, and let the proxy pass Host on as it came."),
    _check("TLS and headers", "metrics.token", "medium", "The token for metrics cannot be guessed", "ASVS 11.5.1",
           _token, "Make a longer one: openssl rand -hex 32."),
    _check("Dependencies", "packages.holes", "high", "No package has a hole known to this version", "ASVS 15.2.1",
           lambda facts: _none_of(facts.old_packages, "none is older than its fix"), "Upgrade Stillwave, or these packages."),
    _check("Dependencies", "packages.lock", "low", "Packages are those that were tested", "ASVS 15.2.1",
           lambda facts: _none_of(facts.other_packages, "as in uv.lock, or none is at hand"), "Run: uv sync --frozen (./run does it)."),
    _check("Dependencies", "packages.engine", "high", "The database server has no hole known to this version", "ASVS 15.2.1",
           _engine_version, "Upgrade PostgreSQL to the newest minor version.", attestable=True),
    _check("Retention and consent", "retention.overdue", "medium", "Nothing is kept past its time", "GDPR 5(1)(e); ASVS 14.2.7",
           _overdue, "Let the worker run, or run: stillwave retention."),
    _check("Retention and consent", "consent.health", "high", "No session is kept without consent", "GDPR 9(2)(a), 7(1)",
           _told("consent.health"), "Something wrote past the program. Ask these people, or remove the sessions."),
    _check("Retention and consent", "consent.wording", "medium", "Every consent was given to a wording of this program", "GDPR 7(1)",
           lambda facts: _none_of(facts.unknown_wordings, "all are known"), "Find out where these came from; ask anew."),
    _check("Retention and consent", "erasure.cascade", "high", "Erasing a person takes every row of theirs", "GDPR 17",
           _told("erasure.cascade"), _MIGRATE),
    _check("Retention and consent", "erasure.jobs", "low", "No work waits for people who are gone", "GDPR 17",
           _told("erasure.jobs"), "stillwave jobs list, then drop."),
    _check("Work and clock", "jobs.dead", "medium", "No work was given up", "HIPAA 308(a)(1)(ii)(D)",
           _count(lambda facts: facts.dead_jobs, "given up"), "stillwave jobs list; then retry or drop."),
    _check("Work and clock", "jobs.late", "medium", "Work is done in time", "GDPR 32(1)(b)",
           lambda facts: Seen(facts.late < _LATE, f"{_spoken(facts.late)} behind"), "Start a worker: stillwave worker, or the server."),
    _check("Work and clock", "clock.trusted", "medium", "The clock is trusted", "ASVS 16.2.2; GDPR 5(1)(e)",
           lambda facts: Seen(facts.clock_trusted, "trusted" if facts.clock_trusted else "doubted: nothing is deleted"),
           "If it is right: stillwave db clock --confirm."),
    _check("Limits", "limits.tries", "high", "Guessing passwords and codes is limited", "ASVS 6.3.1",
           _limits, "Put the limits of web/limits.py back."),
    _check("Leaks", "leak.logs", "high", "No log holds a personal value or a secret", "ASVS 16.2.5; GDPR 5(1)(f)",
           lambda facts: _none_of(facts.leaks), "Remove these lines, and find out what wrote them."),
    _check("Leaks", "leak.job_errors", "medium", "No failure of work holds an address", "ASVS 16.2.5",
           _told("leak.job_errors"), "stillwave jobs drop, and find out what wrote it."),
    _check("Leaks", "leak.statements", "high", "PostgreSQL logs no values", "ASVS 16.2.5; GDPR 5(1)(f)",
           _told("leak.statements"), "SET log_statement = 'ddl', log_min_duration_statement = -1, or log_parameter_max_length = 0.", **_ON_POSTGRES),
    _check("Breaches", "breaches.clock", "high", "Whoever must be told of a breach was told in time", "GDPR 33, 34; HIPAA 404, 408",
           _count(lambda facts: facts.late_breaches, "overdue"), "Send the letters, then: stillwave breach told ID."),
)  # fmt: skip
