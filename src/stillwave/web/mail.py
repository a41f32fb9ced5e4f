"""Mail through the operator's SMTP server, sent in the background after the transaction."""

from __future__ import annotations

import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from stillwave.log import log, where
from stillwave.settings import Settings

_TIMEOUT_S = 20


class Mailer:
    """Sends plain mails one after the other; without an SMTP server it sends nothing."""

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
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._from, to, subject
        mail.set_content(text)
        self._queue.submit(self._deliver, self._url, mail)

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
