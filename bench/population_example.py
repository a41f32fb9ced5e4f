"""A population of your own for `bench/learning.py --population bench/population_example.py`.

`people(count, sessions, seed)` yields as many people as asked for. A person has `states` (one key of
`stillwave.profiles.rules.STATES` a session), `value(state, hz, n)` (how much each frequency of the array `hz` is
truly liked in session n, 0-1) and `report(params, n)` (((stars 1-5 or None, effectiveness 1-10 or None), effects)
of a session with `params.f` Hz, `params.volume`, `params.transition` seconds and `params.state`). Draw what is random
beforehand, so that every policy meets the same person.
"""

import numpy as np


class Evening:
    """Always winds down, likes one frequency between 7 and 11 Hz and rates with stars only."""

    def __init__(self, rng, sessions):
        self.states = ["evening_wind_down"] * sessions
        self.favourite = rng.uniform(7, 11)
        self.mood = rng.normal(0, 0.15, sessions)

    def value(self, state, hz, n):
        del state, n
        return 0.3 + 0.5 * np.exp(-((hz - self.favourite) ** 2) / 2)

    def report(self, params, n):
        said = self.value(params.state, params.f, n) + self.mood[n]
        effects = {"too_loud": 1} if params.volume > 50 else {}
        return (int(np.clip(round(1 + 4 * said), 1, 5)), None), effects


def people(count, sessions, seed):
    for i in range(count):
        yield Evening(np.random.default_rng([seed, i]), sessions)
