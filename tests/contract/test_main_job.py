"""The whole path over HTTP: sign up, screen, plan, hear, rate, and the next plan is different."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from tests.cast import ALICE, Clock
from tests.served import Served, Visitor


def test_the_second_plan_differs_because_of_the_rating(served: Served, clock: Clock) -> None:
    alice = served.visitor()
    alice.sign_up(ALICE)
    assert alice.get("/api/v1/me").json()["needs"] == "screening"
    assert alice.screened() == {
        "blocked": False, "limits": [], "states": list_of_states(), "ask_again": "", "wording_version": 1
    }

    first = alice.session(target_state="calm_focus", initial_state="alert_focus", minutes=5)
    assert first["target_hz"] == 10.0
    assert "have not rated" in first["reason"]
    whole = alice.get(first["audio_url"])
    sound, rate = soundfile.read(io.BytesIO(whole.content))
    assert (rate, sound.shape) == (44100, (5 * 60 * 44100, 2))

    clock.advance(minutes=6)
    told = alice.rate(first["id"], rating=1, effectiveness=1, pace="too_fast", level="too_loud", effects={"headache": 2})
    assert "falls" in told["learned"]

    clock.advance(minutes=1)
    second = alice.session(target_state="calm_focus", initial_state="alert_focus", minutes=5)
    assert second["target_hz"] != first["target_hz"]
    assert second["volume_level"] < first["volume_level"]
    assert second["reason"] != first["reason"]

    profile = alice.get("/api/v1/profile").json()
    alpha = next(band for band in profile["bands"] if band["band"] == "alpha")
    assert alpha["ratings"] == 1
    assert profile["optimal_transition_time_s"] == 312
    assert profile["sensitivity_level"] == 7


def test_a_good_rating_is_the_reason_of_the_next_plan(alice: Visitor, clock: Clock) -> None:
    first = alice.session(target_state="calm_focus")
    clock.advance(minutes=6)
    alice.rate(first["id"], rating=5, effectiveness=10)
    second = alice.session(target_state="calm_focus")
    assert second["reason"].startswith("From your 1 rating between 8 and 13 Hz")


def test_ranges_of_the_stream_are_exact(alice: Visitor) -> None:
    made = alice.session()
    whole = alice.get(made["audio_url"])
    size = len(whole.content)
    assert int(whole.headers["content-length"]) == size
    for first, last in ((0, 0), (1, 43), (44, 100_000), (size - 7, size - 1), (1_000_001, 1_000_003)):
        part = alice.get(made["audio_url"], headers={"Range": f"bytes={first}-{last}"})
        assert part.status_code == 206
        assert part.content == whole.content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert alice.get(made["audio_url"], headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    beyond = alice.get(made["audio_url"], headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{size}"


def test_the_flac_holds_the_samples_of_the_stream(alice: Visitor) -> None:
    made = alice.session()
    wav, _ = soundfile.read(io.BytesIO(alice.get(made["audio_url"]).content), dtype="int32")
    answer = alice.get(made["flac_url"])
    flac, rate = soundfile.read(io.BytesIO(answer.content), dtype="int32")
    assert rate == 44100
    np.testing.assert_array_equal(wav, flac)
    again = alice.get(made["flac_url"], headers={"Range": "bytes=1000-200000"})
    assert again.content == answer.content[1000:200001]


def test_the_opus_for_phones_is_as_long_as_the_stream(alice: Visitor) -> None:
    made = alice.session()
    answer = alice.get(made["opus_url"])
    assert answer.status_code == 200
    assert "content-length" not in answer.headers
    assert answer.headers["content-type"].startswith("audio/ogg")
    with soundfile.SoundFile(io.BytesIO(answer.content)) as file:
        assert (file.samplerate, file.channels, file.frames) == (48_000, 2, made["seconds"] * 48_000)
        assert file.software.startswith("Stillwave engine")


def list_of_states() -> list[str]:
    from stillwave.profiles.rules import STATES

    return list(STATES)
