"""What a file says of itself, and the programme it was made from, as the tag PROGRAMME.

libsndfile writes a fixed set of tags, and PROGRAMME is none of them; but COPYRIGHT is as long. So the programme goes
in as the copyright, and nine bytes of the header are put right on their way out: that changes no length, and only
Ogg has a checksum over them.
"""

import re
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from stillwave.sound import sequence
from stillwave.sound.programme import Programme, check
from stillwave.sound.sequence import Audible

NAME = "PROGRAMME"
WAV_CHUNK = b"prgm"
# A programme of a thousand segments has 130 kB; what is larger is left out.
MOST_BYTES = 1 << 20
# libsndfile leaves out all tags of an Ogg file that are much larger (46 kB went in, 58 kB did not).
OGG_MOST_BYTES = 46_000
_KEYWORDS = {"title": b"INAM", "comment": b"ICMT", "software": b"ISFT"}
_BORROWED, _WANTED = re.compile(rb"copyright=\{", re.IGNORECASE), b"PROGRAMME={"


def put(  # soundfile ships no types
    coder: Any,  # noqa: ANN401
    programme: msgspec.Struct,
    tags: dict[str, str] | None,
    most_bytes: int = MOST_BYTES,
) -> None:
    """An open `soundfile.SoundFile` has all tags (title, comment, software), the programme as its copyright."""
    packed = msgspec.json.encode(programme).decode()
    if len(packed) < most_bytes:
        coder.copyright = packed
    for name, value in (tags or {}).items():
        setattr(coder, name, value)


def in_flac(header: bytes) -> bytes:
    """Return the beginning of a FLAC file with the tag under its right name."""
    return _BORROWED.sub(_WANTED, header, count=1)


def in_ogg(pages: bytes) -> bytes:
    """Return whole Ogg pages with the tag under its right name, and the checksum of that page right."""
    found = _BORROWED.search(pages)
    if found is None:
        return pages
    whole = bytearray(_BORROWED.sub(_WANTED, pages, count=1))
    first = whole.rfind(b"OggS", 0, found.start())
    body = first + 27 + whole[first + 26]
    end = body + sum(whole[first + 27 : body])
    whole[first + 22 : first + 26] = bytes(4)
    whole[first + 22 : first + 26] = struct.pack("<I", _checksum(bytes(whole[first:end])))
    return bytes(whole)


def wav_chunks(programme: msgspec.Struct, tags: dict[str, str] | None) -> bytes:
    """Return the chunks that stand after the samples of a WAV: LIST/INFO with the tags, and the programme."""
    said = b"INFO" + b"".join(_chunk(_KEYWORDS[name], text.encode() + b"\0") for name, text in (tags or {}).items())
    packed = msgspec.json.encode(programme)
    return (_chunk(b"LIST", said) if tags else b"") + (_chunk(WAV_CHUNK, packed) if len(packed) < MOST_BYTES else b"")


def programme_in(file: BinaryIO) -> Audible | None:
    """Return the programme that a FLAC, Ogg Opus or WAV file of ours was made from; None if it does not say, or lies."""
    for packed in _candidates(file):
        try:
            return programme_of(packed)
        except (ValueError, RecursionError):
            continue
    return None


def programme_of(packed: bytes) -> Audible:
    """Return the programme or sequence that JSON describes.

    Raises:
        ValueError: it describes none, or one that cannot be rendered.
    """
    if "layers" in msgspec.json.decode(packed, type=dict[str, msgspec.Raw]):
        layered = msgspec.json.decode(packed, type=sequence.Sequence)
        sequence.check(layered)
        return layered
    found = msgspec.json.decode(packed, type=Programme)
    check(found)
    return found


def _candidates(file: BinaryIO) -> Iterator[bytes]:
    head = file.read(4)
    if head == b"RIFF":
        yield from _in_wav(file)
    elif head == b"fLaC":
        yield from _comments(b"".join(_in_flac(file)))
    elif head == b"OggS":
        file.seek(0)
        yield from _comments(_in_ogg(file.read(MOST_BYTES + (1 << 16))))


def _in_wav(file: BinaryIO) -> Iterator[bytes]:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == WAV_CHUNK and size <= MOST_BYTES:
            yield file.read(size)
            return
        file.seek(size + size % 2, 1)


def _in_flac(file: BinaryIO) -> Iterator[bytes]:
    last = False
    while not last and len(head := file.read(4)) == 4:
        last, size = head[0] >= 128, int.from_bytes(head[1:], "big")
        if head[0] & 127 == 4 and size <= 2 * MOST_BYTES:
            yield file.read(size)
        else:
            file.seek(size, 1)


def _in_ogg(raw: bytes) -> bytes:
    """Return the packet that follows the first page, out of its pages."""
    packet, at, page = b"", 0, 0
    while raw[at : at + 4] == b"OggS" and len(raw) > at + 27:
        body = at + 27 + raw[at + 26]
        lengths = raw[at + 27 : body]
        if page:
            for length in lengths:
                packet += raw[body : body + length]
                body += length
                if length < 255:
                    return packet.removeprefix(b"OpusTags")
        at += 27 + len(lengths) + sum(lengths)
        page += 1
    return packet.removeprefix(b"OpusTags")


def _comments(block: bytes) -> Iterator[bytes]:
    """Yield the values of PROGRAMME in a block of Vorbis comments, as far as it goes."""
    at = 4 + int.from_bytes(block[:4], "little") + 4
    while at + 4 <= len(block):
        size = int.from_bytes(block[at : at + 4], "little")
        name, _, value = block[at + 4 : at + 4 + size].partition(b"=")
        if name.upper() == NAME.encode():
            yield value
        at += 4 + size


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def _checksum(page: bytes) -> int:
    """Return the CRC of an Ogg page (RFC 3533: polynomial 0x04c11db7, not reflected)."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return crc


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return table


_CRC = _crc_table()
