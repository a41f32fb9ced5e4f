"""Whether the time of an answer tells who has an account: many tries of each kind in turns, against a running server.

    python bench/enumeration.py [--tries 200] [--url postgresql://...]

For each way in, an address with an account and one without take turns in random order, over HTTP and a connection of
their own. AUC is the chance that an answer of the first kind is slower than one of the second: 0.5 is no difference at
all. p is that of the Mann-Whitney test, two-sided; with ten of these, one in ten runs has one below 0.01 by chance. Text, status,
headers and length are compared each time.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from scipy.stats import mannwhitneyu

sys.path.insert(0, str(Path(__file__).parent.parent))

from stillwave.db import migrate
from stillwave.db.database import open_database
from stillwave.settings import load
from stillwave.web.kit import system_clock
from tests.cast import ALICE, BOB
from tests.passkey_device import Device
from tests.served import Served, serving

Way = Callable[[str], httpx.Response]
OWN = {"date", "server-timing"}


def ways(served: Served) -> dict[str, tuple[Way, str, Callable[[int], str]]]:
    """For each way in: how, an account that exists, and the n-th that does not."""
    alice, bob, stranger = served.visitor(), served.visitor(), served.visitor()
    for visitor, person in ((alice, ALICE), (bob, BOB)):
        visitor.sign_up(person)
    bob.set_up_second_step(BOB, system_clock())
    device, other = Device(served.kit.settings.base_url), Device(served.kit.settings.base_url)
    options = alice.post("/api/v1/passkeys/options", json={"password": ALICE.password}).json()["publicKey"]
    added = alice.post("/api/v1/passkeys", json={"name": "phone", "credential": device.make(options)})
    assert added.status_code == 201, added.text
    phones = iter(range(1000, 100_000))

    def sign_up(email: str) -> httpx.Response:
        wish = {"email": email, "phone": f"+4420794{next(phones):05}", "password": "seven quiet otters sleeping", "consent_health_data": True}
        return stranger.post("/api/v1/accounts", json=wish)

    def sign_in(email: str) -> httpx.Response:
        return stranger.post("/api/v1/logins", json={"email": email, "password": "not the password at all"})

    def form(email: str) -> httpx.Response:
        answer = stranger.post("/sign-in", data={"email": email, "password": "not the password at all"})
        answer.headers.pop("content-length", None)  # the page repeats the address that was typed
        return answer

    def recovery(email: str) -> httpx.Response:
        return stranger.post("/api/v1/recoveries", json={"email": email})

    def code(email: str) -> httpx.Response:
        wish = {"email": email, "code": "AAAA-BBBB-CCCC-DDDD", "password": "seven quiet otters sleeping"}
        return stranger.post("/api/v1/recoveries/complete", json=wish)

    def passkey(who: str) -> httpx.Response:
        other.user = bytes.fromhex(who)
        asked = stranger.post("/api/v1/logins/passkey/options").json()["publicKey"]
        return stranger.post("/api/v1/logins/passkey", json={"credential": other.show(asked)})

    def nobody(number: int) -> str:
        return f"nobody{number:06}@example.org"

    return {
        "sign-in": (sign_in, ALICE.email, nobody),
        "sign-in, second step": (sign_in, BOB.email, nobody),
        "sign-in by form": (form, ALICE.email, nobody),
        "new password, wrong code": (code, ALICE.email, nobody),
        "passkey of another": (passkey, device.user.hex(), lambda _number: os.urandom(16).hex()),
        "recovery": (recovery, ALICE.email, nobody),
        "sign-up": (sign_up, ALICE.email, nobody),
    }


def alike(one: httpx.Response, other: httpx.Response, known: str, unknown: str) -> bool:
    def told(answer: httpx.Response, email: str) -> tuple[int, str, dict[str, str]]:
        return answer.status_code, answer.text.replace(email, "-"), {k: v for k, v in answer.headers.items() if k not in OWN}

    return told(one, known) == told(other, unknown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--pace", type=float, default=1.0)
    parser.add_argument("--url")
    asked, chance = parser.parse_args(), random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        environ = {"STILLWAVE_DATA_DIR": str(Path(folder) / "data"), "STILLWAVE_ROOT_KEY": os.urandom(32).hex()}
        if asked.url:
            environ["STILLWAVE_DATABASE_URL"] = asked.url
        settings = load(environ)
        database = open_database(settings)
        migrate.upgrade(database)
        with serving(
            settings, database, system_clock, limit_factor=10**6, base_url="http://localhost:{port}", pace_s=asked.pace
        ) as served:
            print(f"{database.engine}, {asked.tries} tries of each kind; medians in ms\n")
            print(f"{'way':28}{'account':>9}{'none':>9}{'AUC':>7}{'p':>8}   answers")
            number = 0
            for name, (ask, known, unknown) in ways(served).items():
                ask(known)
                seen: dict[str, list[float]] = {"known": [], "unknown": []}
                same = True
                for _ in range(asked.tries):
                    number += 1
                    whom = {"known": known, "unknown": unknown(number)}
                    answers = {}
                    for kind in chance.sample(list(whom), 2):
                        began = time.perf_counter()
                        answers[kind] = ask(whom[kind])
                        seen[kind].append((time.perf_counter() - began) * 1000)
                    same = same and alike(answers["known"], answers["unknown"], known, whom["unknown"])
                test = mannwhitneyu(seen["known"], seen["unknown"])
                auc = test.statistic / asked.tries**2
                medians = [statistics.median(seen[kind]) for kind in seen]
                print(f"{name:28}{medians[0]:9.1f}{medians[1]:9.1f}{auc:7.2f}{test.pvalue:8.3f}   {'alike' if same else 'DIFFER'}", flush=True)


if __name__ == "__main__":
    main()
