"""Mail through the operator's SMTP server: at once by a job, or in the background after the transaction."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

import msgspec

from stillwave.log import log, where
from stillwave.settings import Settings
from stillwave.web import pages

_TIMEOUT_S = 20
# A link ends before the full stop, comma or bracket that belongs to the sentence around it.
_LINK = re.compile(r"(https?://[^\s<>\"]*[^\s<>\".,;:!?)\]])")
_VALUE = re.compile(r"([^:\n]{1,30}): (\S+)")


class Part(msgspec.Struct, frozen=True):
    """Some words of a paragraph, or a link in it."""

    text: str
    link: bool


class Paragraph(msgspec.Struct, frozen=True):
    """What stands between two empty lines: parts, or one value with its label."""

    parts: list[Part]
    label: str = ""
    value: str = ""


def paragraphs(text: str) -> list[Paragraph]:
    """The paragraphs of a plain mail; `Your code: ABCD` alone in one is a value."""
    found = []
    for piece in re.split(r"\n\s*\n", text.strip()):
        alone = _VALUE.fullmatch(piece)
        if alone and not _LINK.search(piece):
            found.append(Paragraph([], alone[1], alone[2]))
        else:
            found.append(Paragraph([Part(part, bool(_LINK.fullmatch(part))) for part in _LINK.split(piece) if part]))
    return found


def written(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """A mail as plain text, and the same words as a page for programs that show one."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail.set_content(text)
    mail.add_alternative(pages.render("web/mail.html", subject=subject, paragraphs=paragraphs(text)), subtype="html")
    return mail


class MaybeSent(Exception):
    """The line broke while the server was taking the mail: it may have it, or not."""


class Mailer:
    """Sends mails one after the other; without an SMTP server it sends nothing."""

    def __init__(self, settings: Settings) -> None:
        self._url, self._from = settings.smtp_url, settings.mail_from
        self._queue = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")

    @property
    def configured(self) -> bool:
        """True when an SMTP server is set."""
        return self._url is not None

    def send(self, to: str, subject: str, text: str) -> None:
        """The mail is on its way; a failure is logged without the address."""
        if self._url is None:
            log.warning("mail not sent: STILLWAVE_SMTP_URL is not set", action=subject)
            return
        self._queue.submit(self._try, to, subject, text)

    def _try(self, to: str, subject: str, text: str) -> None:
        try:
            self.deliver(to, subject, text)
        except (OSError, MaybeSent) as error:
            log.error("mail failed", action=subject, where=where(error))

    def deliver(self, to: str, subject: str, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        """The server has the mail. Raises OSError (smtplib's errors are such) when it surely has not, and MaybeSent."""
        if self._url is None:
            raise ConnectionError("no mail server is set")
        mail = written(self._from, to, subject, text)
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="stillwave")
        for name, value in (headers or {}).items():
            mail[name] = value
        with _connected(self._url) as server:
            try:
                server.send_message(mail)
            except smtplib.SMTPServerDisconnected as error:
                raise MaybeSent from error
            except smtplib.SMTPException:  # the server said no
                raise
            except OSError as error:
                raise MaybeSent from error

    def reach(self) -> None:
        """The server is there and lets us in. Raises OSError."""
        if self._url is not None:
            with _connected(self._url):
                pass

    def close(self) -> None:
        """Every mail that waits is sent first."""
        self._queue.shutdown(wait=True)


class _Closing(smtplib.SMTP):
    """Says goodbye without minding how that goes: the mail was taken or refused before."""

    def __exit__(self, *_details: object) -> None:
        self.close()


class _ClosingOverTls(smtplib.SMTP_SSL):
    """The same from the first byte over TLS."""

    def __exit__(self, *_details: object) -> None:
        self.close()


def _connected(url: str) -> smtplib.SMTP:
    """A connection that is ready to take mail. Raises OSError."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "localhost", parts.scheme == "smtps"
    server: smtplib.SMTP
    if secure:
        server = _ClosingOverTls(host, parts.port or 465, timeout=_TIMEOUT_S, context=ssl.create_default_context())
    else:
        server = _Closing(host, parts.port or 587, timeout=_TIMEOUT_S)
    try:
        server.ehlo()
        if not secure and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server
