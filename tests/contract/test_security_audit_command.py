"""`stillwave audit` and the daily job: text, JSON, a page; exit status; the server asked over TLS; checkpoints elsewhere."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from stillwave import duties
from stillwave.cli import app
from stillwave.db import audit
from stillwave.errors import BadInput
from stillwave.inspection import actions
from stillwave.inspection.probe import ask, ask_here
from stillwave.jobs.rules import NOBODY, Job
from stillwave.operator import actions as operator
from stillwave.settings import Settings
from stillwave.web.kit import Kit
from stillwave.web.limits import RateLimits
from stillwave.web.mail import Mailer
from tests.cast import NOW, ROOT_KEY
from tests.served import Served

RUN = CliRunner()


def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setenv("STILLWAVE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("STILLWAVE_ROOT_KEY", ROOT_KEY)
    monkeypatch.setenv("STILLWAVE_PORT", "1")  # nobody answers there
    if settings.database_url:
        monkeypatch.setenv("STILLWAVE_DATABASE_URL", settings.database_url)
    return RUN.invoke(app, words)


def test_the_command_tells_as_text_json_and_page(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "audit.html"
    done = run(settings, monkeypatch, "audit", "--html", str(page), "--fail-on", "low")
    # The tests' own login on PostgreSQL is a superuser, and rightly found.
    assert done.exit_code == (1 if settings.database_url else 0), done.output
    assert "Sealed fields" in done.stdout
    assert "<h2>Sealed fields</h2>" in page.read_text()
    assert "script" not in page.read_text()
    report = json.loads(run(settings, monkeypatch, "audit", "--json").stdout)
    assert report["before"]
    assert report["changes"] == []
    assert {"id", "law", "severity", "verdict", "evidence", "advice"} <= report["findings"][0].keys()
    said = run(settings, monkeypatch, "audit", "attest", "backup.age", "--until", f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=30):%Y-%m-%d}", "--because", "restic")
    assert said.exit_code == 0, said.output
    told = run(settings, monkeypatch, "audit", "history").stdout
    assert told.count("PASS") == 2
    assert "restic" in told
    assert run(settings, monkeypatch, "audit", "attest", "backup.age", "--until", "soon").exit_code == 1


def test_the_worker_audits_daily_and_writes_checkpoints_elsewhere(settings: Settings, database: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    settings = msgspec.structs.replace(settings, checkpoint_dir=elsewhere, port=1)
    with database.write(NOBODY) as tx:
        audit.note(tx, NOBODY, "export.made", NOW)
    kit = Kit(settings=settings, database=database, limits=RateLimits(), mail=Mailer(settings), clock=lambda: NOW)
    known = duties.duties(kit, None)  # type: ignore[arg-type]
    job = Job(user_id=NOBODY, id=NOBODY, kind="", subject="", attempts=1, failures=0)
    for kind in ("checkpoint", "security_audit", "checkpoint"):
        known[kind].do(job, NOW, lambda: False)
    assert known["security_audit"].every == dt.timedelta(days=1)
    with database.read() as tx:
        report = actions.last(tx)
        assert operator.audited(tx, NOW).value.startswith("2026-11-25")
    assert report is not None
    assert {f.verdict for f in report.findings if f.id.startswith("log.")} == {"PASS"}
    (file,) = elsewhere.iterdir()
    made = msgspec.json.decode(file.read_bytes(), type=audit.Checkpoint)
    assert audit.verify_each(database, made) == (1, {})
    assert operator.keep_checkpoint(settings, database, NOW + dt.timedelta(days=1)) != file


def test_a_running_server_is_asked_for_its_headers(served: Served) -> None:
    found = ask_here(served.kit.settings)
    report = actions.inspect(
        served.kit.settings, served.kit.database, operator.housekeeping(served.kit.database, NOW), NOW, probe=found
    )
    seen = {finding.id: finding.verdict for finding in report.findings if finding.group == "TLS and headers"}
    for check in ("headers.csp", "headers.frames", "headers.nosniff", "headers.referrer", "headers.no_store", "headers.banner"):
        assert seen[check] == "PASS", check


# --- over TLS -----------------------------------------------------------------------------------


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Strict-Transport-Security", "max-age=31536000")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def over_tls(folder: Path, *, days: int) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of its own for so many days: its address, and the file to trust."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(5)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=days, minutes=5))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )  # fmt: skip
    trusted = folder / "trusted.pem"
    trusted.write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", trusted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_certificate_is_believed_only_when_somebody_known_signed_it(tmp_path: Path) -> None:
    with over_tls(tmp_path, days=9) as (url, trusted):
        stranger, known = ask(url), ask(url, authority=str(trusted))
    assert stranger.link
    assert "self-signed" in str(stranger.link.refused)
    assert stranger.answers["/sign-in"].headers["strict-transport-security"] == "max-age=31536000"
    assert known.link
    assert known.link.refused is None
    assert known.link.version == "TLSv1.3"
    assert known.link.until
    assert (known.link.until - dt.datetime.now(dt.UTC)).days == 9


def test_who_does_not_answer_is_told_as_such() -> None:
    nobody = ask("https://127.0.0.1:1")
    assert nobody.answers == {}
    assert nobody.link
    assert "no TLS connection" in str(nobody.link.refused)
    for bad in ("calm.example.org", "ftp://calm.example.org", "https://"):
        with pytest.raises(BadInput, match="--url"):
            ask(bad)
