"""Cues are heard whole, in time, over a bed that gives way; and every law of the sound holds with them."""

import hashlib
import json
import random
import re
import tomllib
from importlib.resources import files
from itertools import pairwise
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.accounts.rules import Voice
from stillwave.profiles.rules import STATES, Plan
from stillwave.sessions import rules
from stillwave.sound import cues, levels, measure, render, tones, voice
from stillwave.sound.programme import BEDS, SAMPLE_RATE_HZ, Cue, Programme, check, target_lufs

TEXTS = tomllib.loads((files("stillwave.sound") / "voice_texts.toml").read_text())["en"]
ALL = [(speaker, name) for speaker in cues.voices() for name in cues.names(speaker)]


def plan(minutes=20, speaker="female", beat=True, **fields):
    made = Plan(
        target_hz=6, ramp_from_hz=10, transition_s=300, volume_level=45, minutes=minutes, method="binaural" if beat else "none",
        bed="pink_noise", voice=speaker, base_hz=200, beat=beat, reason="",
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


@pytest.fixture(scope="module")
def spoken(programme):
    said = (Cue(9.0, "welcome", "female"), Cue(16.0, "settle", "male"), Cue(30.0, "midway", "neutral"))
    return programme(40.0, cues=said)


def test_every_text_has_every_voice_and_no_cue_lacks_its_text():
    assert set(cues.voices()) == set(get_args(Voice)) - {"none"}
    for speaker in cues.voices():
        assert list(cues.names(speaker)) == list(TEXTS)


def test_files_are_those_of_the_provenance():
    told = dict(re.findall(r"\| (\S+)\.flac \|.*`([0-9a-f]{64})`", (cues.folder() / "PROVENANCE.md").read_text()))
    assert set(told) == {f"{speaker}/{name}" for speaker, name in ALL}
    for speaker, name in ALL:
        digest = hashlib.sha256((cues.folder() / speaker / f"{name}.flac").read_bytes()).hexdigest()
        assert digest == told[f"{speaker}/{name}"] == cues.facts(speaker, name).sha256


def test_every_recording_says_the_words_that_the_text_has_now_and_every_word_was_heard():
    told = dict(re.findall(r"\| (\S+)\.flac \|.*`([0-9a-f]{16})` \|", (cues.folder() / "PROVENANCE.md").read_text()))
    index = json.loads((cues.folder() / "index.json").read_text())
    for speaker, name in ALL:
        digest = hashlib.sha256(TEXTS[name].encode()).hexdigest()
        assert cues.facts(speaker, name).text_sha256 == digest, f"the words of {name} were changed: give them a new name"
        assert told[f"{speaker}/{name}"] == digest[:16]
        # One recording is misheard; it has a successor and stays for the sessions that name it.
        assert index[speaker][name]["errors"] == (2 if (speaker, name) == ("female", "breath_out") else 0)


# A recording that was shipped stays what it was: stored sessions name it. The digest of the digests of the first 14 in each voice.
SHIPPED = "166a0b58bdd5c7e011d1f51265f18c6b374a5ee49922f2fb7502fc20bb2fb35d"
ADDED = {f"{part}_{when}" for part in ("settle", "midway") for when in ("morning", "evening", "focus")} | {"breath_out_2"}


def test_recordings_that_stored_sessions_may_name_are_what_they_were():
    names = [name for name in TEXTS if name not in ADDED]
    digests = "".join(cues.facts(speaker, name).sha256 for speaker in cues.voices() for name in names)
    assert hashlib.sha256(digests.encode()).hexdigest() == SHIPPED


def test_cues_are_equally_loud_begin_and_end_in_silence_and_stay_below_their_peak():
    # A cue of 1.3 s has few gating blocks, so where they fall matters by half a decibel.
    for speaker, name in ALL:
        cue = voice.sound(speaker, name).astype(np.float64)
        samples = np.round(np.column_stack([cue, cue]) * 2**23).astype(np.int32)
        found = measure.measure(None, [samples], total_samples=len(samples), windows_most=1)
        assert found.loudness_lufs == pytest.approx(levels.CUE_LUFS, abs=0.8), (speaker, name)
        assert found.true_peak_dbtp is not None
        assert 10 ** (found.true_peak_dbtp / 20) <= cues.facts(speaker, name).peak + 0.0002 <= levels.CUE_PEAK, (speaker, name)
        assert np.abs(cue[[0, 1, -2, -1]]).max() < 0.001


def test_any_slice_of_a_spoken_programme_equals_the_whole(programme, spoken):
    chance = random.Random(7)
    whole_plans = [spoken]
    for method, bed in (("isochronic", "rain"), ("none", "ambient"), ("monaural", "none")):
        speaker, name = chance.choice(ALL)
        whole_plans.append(programme(12.0, method=method, bed=bed, cues=(Cue(chance.uniform(0, 3), name, speaker),)))
    for made in whole_plans:
        check(made)
        whole = render.samples24(made, 0, made.total_samples)
        for _ in range(50):
            start = chance.randrange(made.total_samples)
            stop = min(made.total_samples, start + chance.randrange(100_000))
            assert np.array_equal(render.samples24(made, start, stop), whole[start:stop])


def test_a_cue_is_heard_at_its_time_in_the_middle(programme, spoken):
    silent = msgspec.structs.replace(spoken, cues=())
    for cue in spoken.cues:
        first, shape = cues.start(cue), voice.sound(cue.voice, cue.name).astype(np.float64)
        margin = 2_000
        edge = (first - margin, first + len(shape) + margin)
        heard = render.block(spoken, *edge)
        for ear in range(2):
            likeness = np.fft.irfft(
                np.fft.rfft(heard[:, ear], 2**19) * np.conj(np.fft.rfft(shape, 2**19)), 2**19
            )[: 2 * margin]
            assert np.argmax(likeness) == margin
        beneath = render.block(silent, *edge)[margin:-margin] * levels.DUCKED
        rest = heard[margin:-margin] - levels.voice_gains(spoken)[0] * shape[:, None]
        np.testing.assert_allclose(rest, beneath, atol=1e-6)


def test_bed_and_beat_give_way_by_6_db_in_half_a_second(spoken):
    silent = msgspec.structs.replace(spoken, cues=())
    first, ramp = cues.start(spoken.cues[0]), voice.RAMP_SAMPLES

    def ratio(at):
        quiet, full = (render.block(made, at, at + 2)[0, 0] for made in (spoken, silent))
        return quiet / full

    assert ratio(first - ramp - 1) == 1.0
    assert ratio(first - ramp // 2) == pytest.approx(0.75, abs=1e-4)
    assert ratio(first) == pytest.approx(0.5, abs=1e-6)
    last = spoken.cues[1]
    end = cues.start(last) + cues.samples(last.voice, last.name)
    assert ratio(end) == pytest.approx(0.5, abs=1e-4)
    assert ratio(end + ramp // 2) == pytest.approx(0.75, abs=1e-4)
    assert ratio(end + ramp) == 1.0


def test_between_breaths_the_bed_does_not_pump(programme):
    made = rules.programme(plan(), "custom", 1, "meditation")
    breaths = [cue for cue in made.cues if cue.name.startswith("breath")]
    assert [cue.name for cue in breaths] == ["breath", *["breath_in", "breath_out_2"] * 3, "breath_free"]
    stretches = voice._stretches(made.cues)
    assert any(first <= cues.start(breaths[0]) and cues.start(breaths[-1]) < end for first, end in stretches)
    assert len(stretches) == 5  # welcome, settle, breath, midway, closing


def test_without_cues_the_voice_has_no_part_in_the_sound(programme, monkeypatch):
    monkeypatch.setattr(voice, "speak", None)
    made = programme(3.0)
    assert len(render.pcm24(made, 0, made.total_samples)) == made.total_samples * 6


def test_a_cue_is_as_loud_as_its_level_says(programme):
    for level in (20, 45, 55):
        made = programme(30.0, volume_level=level, cues=(Cue(12.0, "midway", "female"),))
        lufs = levels.CUE_LUFS + 20 * np.log10(levels.voice_gains(made)[0])
        assert lufs == pytest.approx(target_lufs(level) + made.voice_db)


@pytest.mark.parametrize("bed", BEDS)
@pytest.mark.parametrize("level", [20, 45, 70, 85, 100])
def test_the_voice_is_as_far_above_what_lies_beneath_at_every_volume(programme, bed, level):
    said = tuple(Cue(3.0 + 9 * place, "midway", speaker) for place, speaker in enumerate(cues.voices()))
    made = programme(40.0, bed=bed, volume_level=level, cues=said)
    loud, ducked = levels.voice_gains(made)
    beat_gain, bed_gain = levels.gains(made)
    cue_lufs = levels.CUE_LUFS + 20 * np.log10(loud)
    power = 10 ** ((levels.beat_lufs(made) + 20 * np.log10(beat_gain)) / 10)
    if bed_gain:
        power += 10 ** ((levels.BED_LUFS[bed] + 20 * np.log10(bed_gain)) / 10)
    beneath_lufs = 10 * np.log10(power) + 20 * np.log10(ducked)
    assert cue_lufs - beneath_lufs >= made.voice_db + 6.0 - 0.1
    assert cue_lufs <= target_lufs(level) + made.voice_db + 1e-6
    peak = max(cues.facts(cue.voice, cue.name).peak for cue in said)
    beneath = beat_gain * tones.PEAK + bed_gain * levels.BED_PEAK.get(bed, 0.0)
    assert loud * peak + ducked * beneath <= levels.PEAK_MOST + 1e-9


def test_a_session_of_version_1_keeps_the_voice_it_had(programme):
    loud = programme(14.0, volume_level=90, version=1, cues=(Cue(3.6, "midway", "male"),))
    beat_gain, bed_gain = levels.gains(loud)
    beneath = beat_gain * tones.PEAK + bed_gain * levels.BED_PEAK["pink_noise"]
    gain, ducked = levels.voice_gains(loud)
    assert ducked == 0.5
    assert gain == pytest.approx((0.75 - 0.5 * beneath) / 0.42)
    quiet = programme(14.0, volume_level=45, version=1, cues=loud.cues)
    assert levels.voice_gains(quiet) == levels.voice_gains(msgspec.structs.replace(quiet, version=2))
    whole = render.pcm24(quiet, 0, quiet.total_samples)
    now = msgspec.structs.replace(quiet, version=2)
    assert render.pcm24(now, 0, now.total_samples) == whole


@pytest.mark.parametrize("bed", ["pink_noise", "ocean", "none"])
def test_true_peak_stays_below_minus_1_at_full_volume(programme, bed):
    made = programme(14.0, bed=bed, volume_level=100, voice_db=12.0, cues=(Cue(3.6, "midway", "male"),))
    true_peak_dbtp = measure.measure(made, windows_most=1).true_peak_dbtp
    assert true_peak_dbtp is not None
    assert true_peak_dbtp <= -1.0


def test_level_0_is_silent_with_a_voice_too(programme):
    made = programme(12.0, volume_level=0, cues=(Cue(2.0, "welcome", "male"),))
    assert not render.samples24(made, 0, made.total_samples).any()


@pytest.mark.parametrize("speaker", cues.voices())
def test_the_beat_stays_within_a_hundredth_of_a_hertz_while_the_voice_speaks(speaker):
    made = rules.programme(plan(10, speaker), "custom", 3, "meditation")
    found = measure.measure(made, windows_most=60)
    spoken = [
        window
        for window in found.windows
        if any(window.start_s - 4 < cue.at_s < window.start_s + 10 for cue in made.cues)
    ]
    assert len(spoken) >= 8
    errors = [abs(window.error_hz) for window in spoken if window.error_hz is not None]
    # Vowels pass over the carrier; in at most one window the meter cannot tell them apart, and says so with null.
    assert len(errors) >= len(spoken) - 1
    assert max(errors) <= 0.01


@settings(max_examples=150, deadline=None)
@given(
    minutes=st.integers(5, 120),
    kind=st.sampled_from(("morning", "evening", "custom")),
    state=st.sampled_from((*STATES, "")),
    speaker=st.sampled_from(cues.voices()),
    beat=st.booleans(),
    transition_s=st.integers(30, 1800),
)
def test_cues_never_overlap_and_end_before_the_fade(minutes, kind, state, speaker, beat, transition_s):
    made = rules.programme(plan(minutes, speaker, beat, transition_s=transition_s), kind, 1, state)
    check(made)
    ends = [cue.at_s + cues.samples(cue.voice, cue.name) / SAMPLE_RATE_HZ for cue in made.cues]
    assert all(end + 0.5 < cue.at_s for end, (_, cue) in zip(ends, pairwise(made.cues), strict=False))
    assert ends[-1] < made.seconds - made.fade_out_s
    names = [cue.name.split("_")[0] for cue in made.cues]
    assert names[:2] == ["welcome", "settle"]
    assert ("closing" in names) == (state != "sleep")
    assert ("midway" in names) == (state != "sleep" and minutes >= 15)
    if minutes < 10:
        assert "breath" not in names


def test_no_voice_means_no_cues():
    assert rules.programme(plan(speaker="none"), "morning", 1, "calm_focus").cues == ()


def test_variants_fit_the_goal_and_the_hour():
    def welcome(kind, state):
        return rules.programme(plan(), kind, 1, state).cues[0].name

    assert welcome("custom", "meditation") == "welcome"
    assert welcome("morning", "calm_focus") == "welcome_morning"
    assert welcome("evening", "peak_focus") == "welcome_focus"
    assert welcome("evening", "meditation") == "welcome_evening"
    assert welcome("custom", "sleep") == "welcome_evening"
    assert welcome("morning", "sleep") == "welcome"


@pytest.mark.parametrize(
    ("kind", "state", "variant"),
    [("custom", "meditation", ""), ("morning", "calm_focus", "_morning"), ("custom", "peak_focus", "_focus"), ("evening", "meditation", "_evening")],
)
@pytest.mark.parametrize("speaker", cues.voices())
def test_every_part_of_a_session_has_words_for_the_hour_and_the_goal(kind, state, variant, speaker):
    said = [cue.name for cue in rules.programme(plan(20, speaker), kind, 1, state).cues]
    spoken = [name for name in said if not name.startswith("breath")]
    assert spoken == [f"welcome{variant}", f"settle{variant}", f"midway{variant}", f"closing{variant}"]
    assert "breath_out_2" in said


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ([Cue(1.0, "welcome", "female")], "cues must hold"),
        ((1,), r"cues\[0\] must be a cue"),
        ((Cue(1.0, "welcome", "robot"),), r"cues\[0\].voice must be one of: female, male, neutral"),
        ((Cue(1.0, "shout", "male"),), r"cues\[0\].name must be one of: welcome"),
        ((Cue(-1.0, "welcome", "male"),), r"cues\[0\].at_s must be a number from 0 to"),
        ((Cue(float("nan"), "welcome", "male"),), r"cues\[0\].at_s"),
        ((Cue(39.9, "welcome", "male"),), r"cues\[0\].at_s"),
        ((Cue(1.0, "welcome", "male"), Cue(1.5, "settle", "male")), r"cues\[1\].at_s must be after"),
    ],
)
def test_cues_that_cannot_be_said_are_refused(programme, said, allowed):
    with pytest.raises(ValueError, match=allowed):
        check(programme(40.0, cues=said))
    with pytest.raises(ValueError, match="voice_db must be a number from -20 to 12"):
        check(programme(voice_db=13))
    with pytest.raises(ValueError, match="shorter than the sound"):
        check(programme(1.0, cues=(Cue(0.0, "midway", "male"),)))


def test_a_spoken_programme_survives_json(spoken):
    assert msgspec.json.decode(msgspec.json.encode(spoken), type=Programme) == spoken
