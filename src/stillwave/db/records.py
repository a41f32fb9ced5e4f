"""Records of processing (GDPR 30), data map and the software's part of an impact assessment (35), from the catalogue.

`python -m stillwave.db.records` prints docs/records-of-processing.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from stillwave.db.tables import PRIVACY_CLASSES, RETENTION_CLASSES, TABLES, Column, Table

# What is done, why, on which ground, and in which tables; every table of people stands in exactly one.
ACTIVITIES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("Accounts and signing in", "to know who asks, and to keep others out", "contract (6(1)(b)); security (6(1)(f))",
     ("users", "logins", "recoveries", "second_factors", "recovery_codes", "passkeys",
      "passkey_challenges", "idempotency_keys")),
    ("Safety", "to leave out what may harm somebody", "explicit consent (9(2)(a))", ("screenings", "clearances")),
    ("Listening sessions", "to plan, play and repeat what was wanted", "explicit consent (9(2)(a))",
     ("sessions", "audio_files", "user_preferences", "unlink_outbox")),
    ("Ratings and the diary", "to show somebody how it goes for them", "explicit consent (9(2)(a))",
     ("session_feedback", "progress_tracking")),
    ("Learning", "to plan what somebody rates best; can be switched off", "explicit consent, of its own (9(2)(a))",
     ("neural_profiles", "profile_history", "learning_base", "learning_checkpoint", "learning_pause", "learning_work",
      "learning_work_curve", "learning_fold")),
    ("Reminders", "to send what was asked for, and nothing else", "consent, of its own (6(1)(a))", ("reminders", "calendar_feeds")),
    ("Rights and proof", "to show who agreed to what, and what was done with whose data", "legal duty (6(1)(c): 5(2), 7(1), 32)",
     ("consents", "erasures", "audit_events", "audit_heads", "emergency_accesses")),
    ("Taking over another database", "to lose no row that could not be taken over", "as for what the row is of",
     ("promotion_rejects",)),
    ("Work in the background", "to measure, remind and remove in time", "as for what the work is for", ("jobs",)),
)  # fmt: skip

# What could go wrong for people, how it is held off, and what is left.
RISKS: tuple[tuple[str, str, str], ...] = (
    ("Somebody steals the disk or the database", "SQLCipher, sealed words and sound files, the root key elsewhere",
     "on PostgreSQL scores, times and coded effects are readable without disk encryption, which the audit asks for"),
    ("Somebody steals a backup", "backups are sealed; the key store is kept apart; copies of it end after 35 days",
     "who has backup, key store and root key reads everything"),
    ("Somebody guesses or steals a password", "Argon2id, limits, second step, a list of logins to end",
     "without a second step a stolen password opens the account"),
    ("Another listener reaches the data", "own rows only, in the program and again in PostgreSQL", "an error in both at once"),
    ("The operator is curious", ("no personal data on the operator's page; emergency access with a reason, for an hour, told at once; "
     "an audit log that shows every change"), "who holds the root key can read around the program, and leaves no line then"),
    ("What is learned is wrong or harmful", ("safety answers go first, effects slow down, limits on level and length, learning can be "
     "switched off, nothing is claimed"), "somebody may answer the safety questions untruly"),
    ("Data is kept for too long", "retention by class, hourly; erasure reaches backups, for the key is destroyed",
     "the audit log stays six years under an id that leads to nobody"),
    ("Data is lost", "one transaction a request, backups that are verified, sounds that can be rendered again",
     "what was written since the last backup, should the disk die"),
)  # fmt: skip


def document() -> str:
    """The text of docs/records-of-processing.md."""
    parts = [
        "# Records of processing, data map, impact assessment",
        "Generated from `src/stillwave/db/tables.py` and `records.py` by `make data-model`; do not edit.",
        ("What the software does with whose data, as GDPR 30 asks for it. Copy it and add what only the one who runs it knows: name "
        "and address of the controller, of a data protection officer, where the server stands, who helps to run it under which contract."),
        "## Records of processing",
        _rows(("activity", "for what", "ground", "categories of data", "kept"), [_activity(*one) for one in ACTIVITIES]),
        ("- Whose data: people with an account. Children are not meant to have one; the safety answers ask for the age group.\n"
        "- Who gets it: nobody. Mails go through the mail server that the operator sets; nothing else leaves the server.\n"
        "- Third countries: none by the software.\n"
        "- How it is protected: [safeguards.md](safeguards.md), each with the test that shows it."),
        "## Categories of data",
        _rows(("category", "means", "columns", "of these sealed"), [_category(name, means) for name, means in PRIVACY_CLASSES.items()]),
        "## Data map",
        ("Where each category lies. `*` is sealed under the person's own key; what is not lies in the encrypted database file, or on "
        "PostgreSQL on the disk that the operator encrypts. Everything is exported unless [data-model.md](data-model.md) says why not."),
        _rows(("table", "person", *_CATEGORIES), [_mapped(table) for table in TABLES if table.owner]),
        ("Besides: the key store `keys.db` (one wrapped key per person), sealed sound files in `audio/`, and in the browser, only with "
        "consent, the sound of the last three sessions."),
        "## Impact assessment",
        ("GDPR 35 asks for one where health data is processed on a large scale. This is the part that lies in the software; whether "
        "it is needed, and whether what is left can be borne, the one who runs it decides."),
        ("**What and why.** Somebody says how they feel and what they want, hears a session, and rates it; a profile learns from the "
        "ratings which settings they rate best. No profile is shared, compared between people or used for anything else. No decision "
        "with legal effect is made."),
        ("**Necessary and in proportion.** Each column says what it is for. Learning, mails, comparison and offline sound are consents "
        "of their own and off or ended by one press. Free words are never needed."),
        _rows(("what could happen to people", "what holds it off", "what is left"), list(RISKS)),
    ]
    return "\n\n".join(parts) + "\n"


_CATEGORIES = tuple(name for name in PRIVACY_CLASSES if name != "none")


def _activity(name: str, purpose: str, ground: str, names: tuple[str, ...]) -> tuple[str, ...]:
    tables = [table for table in TABLES if table.name in names]
    classes = {column.privacy for table in tables for column in table.columns} - {"none"}
    kept = {RETENTION_CLASSES[table.retention]: None for table in tables}
    return name, purpose, ground, ", ".join(c for c in _CATEGORIES if c in classes), "; ".join(kept)


def _category(name: str, means: str) -> tuple[str, ...]:
    columns = list(_columns(name))
    return name, means, str(len(columns)), str(sum(column.sealed for column in columns))


def _columns(category: str) -> Iterable[Column]:
    return (column for table in TABLES if table.owner for column in table.columns if column.privacy == category)


def _mapped(table: Table) -> tuple[str, ...]:
    cells = [
        ", ".join(f"{c.name}{'*' if c.sealed else ''}" for c in table.columns if c.privacy == category)
        for category in _CATEGORIES
    ]
    return f"`{table.name}`", str(table.owner), *cells


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(document())
