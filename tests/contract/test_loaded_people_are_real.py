"""What bench/load.py loads, the program can serve: keys, seals and learned profiles are those it would have made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import msgspec

from bench import load
from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.profiles import actions as profiles
from stillwave.profiles.store import ProfileRow
from stillwave.progress import actions as progress
from stillwave.sessions import actions as sessions
from stillwave.settings import Settings
from tests.cast import NOW


def _shape(seed: int = 20) -> load.Shape:
    return load.shape(6, seed, NOW.replace(hour=0), 150, 90)


def _without_text(row: ProfileRow) -> ProfileRow:
    return msgspec.structs.replace(row, base_frequency_response=None)  # SQLite writes one digit more than it needs


def test_a_loaded_person_is_like_one_who_lived_it(engine: str, settings_on: Callable[[str], Settings]) -> None:
    settings, of = settings_on(engine), _shape()
    if engine == "postgres":
        load.fill_postgres(settings, of, 1, say=lambda *_, **__: None)
        load.check(settings, of, people=3)
    else:
        load.fill_sqlite(settings, of)
    database = open_database(settings)
    heard = days = 0
    for number in range(6):
        with database.read() as tx:
            user_id = accounts.by_email(tx, load.email_of(number)).id
        with database.write(user_id) as tx:
            assert accounts.contact(tx, user_id)[0] == load.email_of(number)
            profiles.last_answers(tx, user_id)
            rows = list(sessions.everything(tx, user_id))
            for row in rows:
                assert row.planned() is not None
                sessions.check(row.sound())  # type: ignore[arg-type]
            heard += len(rows)
            days += len(progress.diary(tx, user_id, NOW.date() - dt.timedelta(days=900), NOW.date()))
            before, history = profiles.current(tx, user_id, NOW), profiles.changes(tx, user_id, 1000)
            profiles.rebuild(tx, user_id)
            after = profiles.current(tx, user_id, NOW)
            assert msgspec.to_builtins(before.response) == msgspec.to_builtins(after.response)
            assert _without_text(before.row) == _without_text(after.row)
            assert history == profiles.changes(tx, user_id, 1000)
    assert (heard, days) == (150, 90)
    database.close()
    database.vault.keys.close()


def test_the_same_seed_makes_the_same_people() -> None:
    def lived(seed: int) -> load.Rows:
        of = _shape(seed)._replace(password_hash="")
        return load.Life(1, of, load.NOTHING, load.user_id_of(of, 1)).all()

    assert lived(20) == lived(20)
    assert lived(20) != lived(21)
