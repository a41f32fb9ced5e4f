"""Settings come from the environment alone; everything has a default, and a bad value is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwave.errors import CannotStart
from stillwave.settings import load


def test_an_empty_environment_is_enough(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load({})
    assert settings.data_dir == tmp_path / ".local/share/stillwave"
    assert settings.database_file == settings.data_dir / "stillwave.db"
    assert settings.keys_file == settings.data_dir / "keys.db"
    assert settings.audio_dir == settings.data_dir / "audio"
    assert settings.root_key_file == settings.data_dir / "root.key"
    assert (settings.host, settings.port, settings.base_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert settings.database_url is None
    assert settings.root_key is None
    assert not settings.secure_cookies


def test_every_name_is_read():
    settings = load(
        {
            "STILLWAVE_DATA_DIR": "/srv/stillwave",
            "STILLWAVE_DATABASE_URL": "postgresql://stillwave@db/stillwave",
            "STILLWAVE_ROOT_KEY": "57" * 32,
            "STILLWAVE_ROOT_KEY_FILE": "/run/secrets/root.key",
            "STILLWAVE_HOST": "::1",
            "STILLWAVE_PORT": "8443",
            "STILLWAVE_BASE_URL": "https://listen.example.org/",
            "STILLWAVE_SMTP_URL": "smtps://mail.example.org",
            "STILLWAVE_MAIL_FROM": "quiet@example.org",
            "STILLWAVE_AUDIO_QUOTA_GB": "2",
        }
    )
    assert settings.data_dir == Path("/srv/stillwave")
    assert settings.database_url == "postgresql://stillwave@db/stillwave"
    assert settings.root_key == "57" * 32
    assert settings.root_key_file == Path("/run/secrets/root.key")
    assert (settings.host, settings.port) == ("::1", 8443)
    assert settings.base_url == "https://listen.example.org"
    assert settings.secure_cookies
    assert settings.smtp_url == "smtps://mail.example.org"
    assert settings.mail_from == "quiet@example.org"
    assert settings.audio_quota_bytes == 2 * 1024**3


def test_an_empty_value_is_no_value():
    assert load({"STILLWAVE_PORT": "", "STILLWAVE_HOST": "  ", "STILLWAVE_DATABASE_URL": " "}) == load({})


def test_a_relative_folder_is_made_absolute_and_home_is_understood(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load({"STILLWAVE_DATA_DIR": "data"}).data_dir == tmp_path / "data"
    assert load({"STILLWAVE_DATA_DIR": "~/data"}).data_dir == tmp_path / "home/data"


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("STILLWAVE_PORT", "http", "0 to 65535"),
        ("STILLWAVE_PORT", "65536", "0 to 65535"),
        ("STILLWAVE_PORT", "-1", "0 to 65535"),
        ("STILLWAVE_PORT", "80.5", "0 to 65535"),
        ("STILLWAVE_PORT", "٨٠", "0 to 65535"),
        ("STILLWAVE_AUDIO_QUOTA_GB", "lots", "0 to 1000000"),
        ("STILLWAVE_DATABASE_URL", "mysql://db/stillwave", "postgresql://"),
        ("STILLWAVE_DATABASE_URL", "stillwave.db", "postgresql://"),
        ("STILLWAVE_SMTP_URL", "mail.example.org:25", "smtp://"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_it_takes(name, value, takes):
    with pytest.raises(CannotStart) as refusal:
        load({name: value})
    assert name in str(refusal.value)
    assert takes in str(refusal.value)


def test_a_refusal_does_not_repeat_a_value_that_may_hold_a_password():
    with pytest.raises(CannotStart) as refusal:
        load({"STILLWAVE_DATABASE_URL": "mysql://root:hunter2@db/x"})
    assert "hunter2" not in str(refusal.value)


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        load({}).port = 1  # type: ignore[misc]
