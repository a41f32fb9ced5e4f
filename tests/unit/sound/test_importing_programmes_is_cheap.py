"""A server that only stores programmes must not pay for numpy and numba."""

import subprocess
import sys


def test_programme_imports_no_numpy_and_nothing_else_of_stillwave():
    code = (
        "import sys, stillwave.sound.programme;"
        "heavy = ('numpy', 'numba', 'soundfile', 'stillwave');"
        "print(*[name for name in sys.modules if name.split('.')[0] in heavy])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert sorted(loaded) == ["stillwave", "stillwave.sound", "stillwave.sound.programme"]


def test_kernels_work_where_nothing_can_be_cached(tmp_path):
    """A read-only install with a read-only home: numba finds no place for its cache and compiles anew."""
    code = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from stillwave.sound.programme import Programme, Segment\n"
        "from stillwave.sound import render\n"
        "p = Programme((Segment(2.0, 200, 200, 8, 8),), 'binaural', 'pink_noise', 1)\n"
        "print(len(render.pcm24(p, 0, 44100)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert said.stdout.strip() == "264600"
