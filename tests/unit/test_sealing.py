"""Sealed fields open only where they belong; sealed files show every change that is read."""

from __future__ import annotations

import base64
import itertools
import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.db.keys import KeyStore, parse_root_key
from stillwave.db.seal import (
    CHUNK_BYTES,
    SealBroken,
    SealedWriter,
    Vault,
    envelope_head,
    read_sealed,
    sealed_size,
)
from stillwave.errors import NotFound
from tests.cast import NOW, ROOT_KEY

ALICE, BOB = uuid.UUID(int=1), uuid.UUID(int=2)
ROW, OTHER_ROW = uuid.UUID(int=11), uuid.UUID(int=12)
PLACE = "session_feedback.feedback_text"
KEY = bytes(range(32))
HEAD_BYTES, TAG_BYTES = 11, 16


@pytest.fixture
def vault(tmp_path):
    root = parse_root_key(ROOT_KEY)
    keys = KeyStore(tmp_path / "keys.db", root)
    keys.create(ALICE)
    keys.create(BOB)
    yield Vault(keys)
    keys.close()


# --- fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "calm", "z" * 100_000, "Zoë 🌙\n\0"])
def test_what_was_sealed_opens(vault, text):
    envelope = vault.seal(ALICE, PLACE, ROW, text)
    assert envelope.startswith("sw1.")
    assert vault.open(ALICE, PLACE, ROW, envelope) == text


def test_an_envelope_does_not_show_its_text(vault):
    assert "canary" not in vault.seal(ALICE, PLACE, ROW, "canary")


def test_the_same_text_is_never_sealed_alike_twice(vault):
    assert len({vault.seal(ALICE, PLACE, ROW, "calm") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("user_id", "place", "row_id"),
    [
        (BOB, PLACE, ROW),
        (ALICE, "progress_tracking.notes", ROW),
        (ALICE, "session_feedback.mental_effects", ROW),
        (ALICE, PLACE, OTHER_ROW),
    ],
    ids=["another person", "another table", "another column", "another row"],
)
def test_an_envelope_that_was_moved_does_not_open(vault, user_id, place, row_id):
    envelope = vault.seal(ALICE, PLACE, ROW, "calm")
    with pytest.raises(SealBroken):
        vault.open(user_id, place, row_id, envelope)


def test_an_envelope_with_any_character_changed_does_not_open(vault):
    envelope = vault.seal(ALICE, PLACE, ROW, "calm")
    for at, other in itertools.product(range(len(envelope)), "A_z"):
        changed = envelope[:at] + other + envelope[at + 1 :]
        if changed != envelope:
            with pytest.raises(SealBroken):
                vault.open(ALICE, PLACE, ROW, changed)


def test_an_envelope_cut_or_lengthened_anywhere_does_not_open(vault):
    envelope = vault.seal(ALICE, PLACE, ROW, "calm")
    for changed in [envelope[:n] for n in range(len(envelope))] + [envelope + x for x in ("A", "=", "\n", "AAAA")]:
        with pytest.raises(SealBroken):
            vault.open(ALICE, PLACE, ROW, changed)


@pytest.mark.parametrize("text", ["", "calm", "sw1.", "sw1.AAAA", "sw2.AAAA", "sw1.é", "sw1." + "A" * 4000])
def test_what_is_no_envelope_does_not_open(vault, text):
    with pytest.raises(SealBroken):
        vault.open(ALICE, PLACE, ROW, text)


def test_a_refusal_to_open_does_not_hold_the_value(vault):
    envelope = vault.seal(ALICE, PLACE, ROW, "calm")
    with pytest.raises(SealBroken) as refusal:
        vault.open(BOB, PLACE, ROW, envelope)
    assert envelope not in str(refusal.value)


def test_nothing_of_a_person_opens_once_their_key_is_destroyed(vault):
    envelope, of_bob = vault.seal(ALICE, PLACE, ROW, "calm"), vault.seal(BOB, PLACE, ROW, "wide")
    vault.keys.destroy(ALICE, NOW)
    with pytest.raises(NotFound):
        vault.open(ALICE, PLACE, ROW, envelope)
    vault.keys.create(ALICE)
    with pytest.raises(SealBroken):
        vault.open(ALICE, PLACE, ROW, envelope)
    assert vault.open(BOB, PLACE, ROW, of_bob) == "wide"


def test_a_blind_index_is_equal_for_equal_values_in_one_place_only(vault, tmp_path):
    index = vault.blind_index("users.email", "alice@example.org")
    assert index == vault.blind_index("users.email", "alice@example.org")
    assert len(index) == 64
    assert index != vault.blind_index("users.phone_number", "alice@example.org")
    assert index != vault.blind_index("users.email", "bob@example.org")
    other = parse_root_key("ab" * 32)
    assert index != Vault(KeyStore(tmp_path / "other.db", other)).blind_index("users.email", "alice@example.org")


# --- files --------------------------------------------------------------------------------------


def sealed(path, plain, *, name="a.wav", pieces=10_000):
    with SealedWriter(path.open("wb"), KEY, name) as file:
        for start in range(0, len(plain), pieces):
            file.write(plain[start : start + pieces])
    return path


def opened(path, start=0, stop=None, name="a.wav", key=KEY):
    return b"".join(read_sealed(path, lambda _: key, name, start, stop))


def some_bytes(size):
    return bytes(i * 31 % 251 for i in range(size))


SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7]


@pytest.mark.parametrize("size", SIZES)
def test_a_sealed_file_opens_to_the_same_bytes_and_knows_its_size(tmp_path, size):
    plain = some_bytes(size)
    path = sealed(tmp_path / "a", plain)
    assert opened(path) == plain
    assert sealed_size(path) == size


def test_a_sealed_file_does_not_show_its_bytes(tmp_path):
    assert b"canary" not in sealed(tmp_path / "a", b"canary" * 100).read_bytes()


@given(start=st.integers(0, 3 * CHUNK_BYTES + 100), length=st.integers(0, 2 * CHUNK_BYTES))
@settings(max_examples=50, deadline=None)
def test_any_range_equals_the_same_slice_of_the_whole(tmp_path_factory, start, length):
    plain = some_bytes(3 * CHUNK_BYTES + 7)
    path = tmp_path_factory.getbasetemp() / "ranged"
    if not path.exists():
        sealed(path, plain)
    assert opened(path, start, start + length) == plain[start : start + length]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_cut_or_lengthened_by_any_amount_is_noticed(tmp_path, size):
    path = sealed(tmp_path / "a", some_bytes(size))
    raw = path.read_bytes()
    whole = CHUNK_BYTES + TAG_BYTES
    cuts = {1, 2, 15, 16, 17, 1000, whole - 1, whole, whole + 1, len(raw) - HEAD_BYTES, len(raw) - 5, len(raw)}
    changed = [raw[:-cut] for cut in cuts if 0 < cut <= len(raw)]
    changed += [raw + b"\0" * more for more in (1, 15, 16, 17, 1000, whole, whole + 1)]
    changed.append(raw + raw[-whole:])
    for other in changed:
        path.write_bytes(other)
        with pytest.raises(SealBroken):
            opened(path)


def test_chunks_that_changed_places_are_noticed(tmp_path):
    path = sealed(tmp_path / "a", some_bytes(3 * CHUNK_BYTES))
    raw, whole = path.read_bytes(), CHUNK_BYTES + TAG_BYTES
    head, chunks = raw[:HEAD_BYTES], [raw[HEAD_BYTES + i * whole :][:whole] for i in range(3)]
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2):
            path.write_bytes(head + b"".join(chunks[i] for i in order))
            with pytest.raises(SealBroken):
                opened(path)


@pytest.mark.parametrize("at", [0, 4, 10, 11, 5000, CHUNK_BYTES + 40, -1])
def test_a_changed_bit_is_noticed(tmp_path, at):
    path = sealed(tmp_path / "a", some_bytes(CHUNK_BYTES + 100))
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SealBroken):
        opened(path)


def test_a_file_under_another_name_or_key_does_not_open(tmp_path):
    path = sealed(tmp_path / "a", b"calm")
    for wrong in ({"name": "b.wav"}, {"key": bytes(32)}):
        with pytest.raises(SealBroken):
            opened(path, **wrong)


def test_a_chunk_of_another_file_is_noticed(tmp_path):
    plain = some_bytes(2 * CHUNK_BYTES)
    one, two = sealed(tmp_path / "a", plain), sealed(tmp_path / "b", plain)
    raw = two.read_bytes()
    one.write_bytes(one.read_bytes()[: HEAD_BYTES + CHUNK_BYTES + TAG_BYTES] + raw[HEAD_BYTES + CHUNK_BYTES + TAG_BYTES :])
    with pytest.raises(SealBroken):
        opened(one)


def test_a_writer_counts_plain_bytes_and_closes_once(tmp_path):
    writer = SealedWriter((tmp_path / "a").open("wb"), KEY, "a.wav")
    assert writer.writable()
    assert writer.write(b"calm") == 4
    assert writer.plain_bytes == 4
    writer.close()
    writer.close()
    assert opened(tmp_path / "a") == b"calm"


# --- later keys, and bytes of chance --------------------------------------------------------------


def test_an_envelope_names_its_key_and_opens_under_no_other(vault):
    first = vault.seal(ALICE, PLACE, ROW, "calm")
    vault.keys.renew(ALICE, NOW)
    second = vault.seal(ALICE, PLACE, ROW, "calm")
    assert second.startswith(envelope_head(2)) > first.startswith(envelope_head(2))
    assert vault.open(ALICE, PLACE, ROW, first) == vault.open(ALICE, PLACE, ROW, second) == "calm"
    raw = base64.urlsafe_b64decode(second.removeprefix("sw1."))
    for head in (b"\x02\0\1", b"\x02\0\0", b"\x02\0\3", b"\x02\xff\xff", b"\x01", b"\x03\0\2"):
        other = "sw1." + base64.urlsafe_b64encode(head + raw[3:]).decode()
        with pytest.raises(SealBroken):
            vault.open(ALICE, PLACE, ROW, other)


def test_no_envelope_of_chance_opens_or_fails_otherwise(vault):
    vault.keys.renew(ALICE, NOW)
    good, chance = vault.seal(ALICE, PLACE, ROW, "calm" * 20), random.Random(6)
    raw = base64.urlsafe_b64decode(good.removeprefix("sw1."))
    for turn in range(2000):
        bent = bytearray(raw)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(bent))
            kind = chance.randrange(3)
            bent[at : at + (kind != 0)] = b"" if kind == 1 else bytes([chance.randrange(256)])
            bent = bent or bytearray(b"x")
        text = "sw1." + base64.urlsafe_b64encode(bytes(bent)).decode()
        if turn % 5 == 0:
            text = "".join(chance.choices("sw1.AQg_-=\0é\ud800 \n", k=chance.randrange(40)))
        if text != good:
            with pytest.raises(SealBroken):
                vault.open(ALICE, PLACE, ROW, text)


def test_no_file_of_chance_opens_or_fails_otherwise(tmp_path):
    path, chance = tmp_path / "a", random.Random(6)
    plain = some_bytes(CHUNK_BYTES + 700)
    with SealedWriter(path.open("wb"), KEY, "a.wav", 300) as file:
        file.write(plain)
    assert opened(path) == plain
    raw = path.read_bytes()
    for _ in range(300):
        bent = bytearray(raw)
        at = chance.choice([chance.randrange(12), chance.randrange(len(bent))])
        kind = chance.randrange(4)
        if kind == 0:
            del bent[at:]
        elif kind == 1:
            del bent[at : at + chance.randrange(1, 40)]
        elif kind == 2:
            bent[at:at] = chance.randbytes(chance.randrange(1, 40))
        else:
            bent[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bent)
        with pytest.raises(SealBroken):
            b"".join(read_sealed(path, lambda generation: KEY if generation == 300 else bytes(32), "a.wav"))


def test_a_file_says_under_which_key_it_is(tmp_path):
    asked = []

    def key_of(generation):
        asked.append(generation)
        return KEY

    for generation in (1, 2, 65535):
        path = tmp_path / str(generation)
        with SealedWriter(path.open("wb"), KEY, "a.wav", generation) as file:
            file.write(b"calm")
        assert b"".join(read_sealed(path, key_of, "a.wav")) == b"calm"
    assert asked == [1, 2, 65535]


def test_a_file_whose_key_is_gone_is_broken(tmp_path):
    def gone(_generation):
        raise NotFound("The key of this account no longer exists.")

    with pytest.raises(SealBroken):
        b"".join(read_sealed(sealed(tmp_path / "a", b"calm"), gone, "a.wav"))
