"""What the server itself answers, asked as a stranger would: headers of a page, metrics, TLS, the way from http://."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from stillwave.errors import BadInput
from stillwave.inspection.rules import Answer, Link
from stillwave.settings import Settings

_TIMEOUT_S = 10
_PATHS = ("/sign-in", "/metrics")


class Probe(msgspec.Struct, frozen=True):
    """Which address was asked (None: none was), and what it said."""

    url: str | None = None
    answers: Mapping[str, Answer] = {}
    link: Link | None = None


def ask(url: str, *, authority: str | None = None) -> Probe:
    """The server at `url` was asked; certificates of nobody we know are reported, and the rest is seen all the same.

    `authority`: a file of certificates to trust besides those of the system. Raises BadInput for an address that is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput("--url", "is not an address", "https://name, as people type it")
    link = _link(parts.hostname, parts.port or 443, authority) if parts.scheme == "https" else None
    if link is not None and parts.port in (None, 443):
        link = msgspec.structs.replace(link, plain=_answer("http", parts.hostname, 80, "/", None))
    found = {path: _answer(parts.scheme, parts.hostname, parts.port, path, None) for path in _PATHS}
    return Probe(url, {path: answer for path, answer in found.items() if answer}, link)


def ask_here(settings: Settings) -> Probe:
    """The server of these settings on this machine, asked under the name that people use, as a proxy would."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  compared, not bound
    paths = _PATHS if not settings.is_local else ("/sign-in",)  # this machine may see its own metrics
    name = urlsplit(settings.base_url).netloc
    found = {path: _answer("http", host, settings.port, path, name) for path in paths}
    answers = {path: answer for path, answer in found.items() if answer}
    return Probe(f"http://{host}:{settings.port}" if answers else None, answers)


def _answer(scheme: str, host: str, port: int | None, path: str, name: str | None) -> Answer | None:
    """The answer to GET; None when nobody answers."""
    connection: http.client.HTTPConnection
    if scheme == "https":
        # What the certificate is worth, `_link` says; here only the headers are looked at, and nothing is sent.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Host": name} if name else {})
        answer = connection.getresponse()
        return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()})
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _link(host: str, port: int, authority: str | None) -> Link:
    context = ssl.create_default_context()
    if authority:
        context.load_verify_locations(authority)
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as line, context.wrap_socket(line, server_hostname=host) as tls:
            certificate = tls.getpeercert() or {}
            return Link(version=tls.version(), until=_ends(str(certificate.get("notAfter", ""))))
    except ssl.SSLCertVerificationError as error:
        return Link(refused=f"browsers refuse it: {error.verify_message}")
    except (OSError, ssl.SSLError) as error:
        return Link(refused=f"no TLS connection ({type(error).__name__})")


def _ends(text: str) -> dt.datetime | None:
    with contextlib.suppress(ValueError):
        return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), dt.UTC)
    return None
