"""Mail through the operator's SMTP server, sent in the background after the transaction."""

from __future__ import annotations

import re
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
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
        self._queue.submit(self._deliver, self._url, written(self._from, to, subject, text))

    def _deliver(self, url: str, mail: EmailMessage) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "smtps"
        try:
            kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
            with kind(parts.hostname or "localhost", parts.port or (465 if secure else 587), timeout=_TIMEOUT_S) as server:
                if not secure and server.has_extn("starttls"):
                    server.starttls(context=ssl.create_default_context())
                if parts.username:
                    server.login(unquote(parts.username), unquote(parts.password or ""))
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            log.error("mail failed", action=mail["Subject"], where=where(error))

    def close(self) -> None:
        """Every mail that waits is sent first."""
        self._queue.shutdown(wait=True)
