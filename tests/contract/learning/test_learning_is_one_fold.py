"""Trigger, rebuild and Python reference give the same numbers, whatever happened to the history."""

import random
from datetime import timedelta

from learning_database import T0, Database, distance

from stillwave.profiles import curve


def test_the_trigger_equals_python_in_order(database: Database) -> None:
    person = database.person()
    for n in range(30):
        database.rated(person, T0 + timedelta(hours=n), 8 + n / 10, 1 + n % 5)
    expected = curve.fold_all(answer for _, answer in database.answers(person))
    assert distance(curve.msgspec.to_builtins(database.state(person)), curve.msgspec.to_builtins(expected)) == 0
