"""What the worker does: every kind of job, and how often the installation's own come round."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from uuid import UUID

from stillwave.accounts.actions import PLAN_REMINDERS
from stillwave.inspection import actions as inspection
from stillwave.jobs.rules import Job
from stillwave.jobs.worker import Duty, Stopped, Worker
from stillwave.log import log
from stillwave.operator import actions as operator
from stillwave.operator import backup
from stillwave.privacy import actions as privacy
from stillwave.privacy import erasure
from stillwave.reminders import actions as reminders
from stillwave.sessions import audio
from stillwave.sessions.actions import MEASURE
from stillwave.web.kit import Kit

Stop = Callable[[], bool]
_MINUTE, _HOUR, _DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


def duties(kit: Kit, files: audio.SoundFiles) -> dict[str, Duty]:
    """Every kind of job with what is done for it."""

    def partitions(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        operator.check_clock(kit.database, now)
        kit.database.prepare_months(now)

    def retention(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        operator.check_clock(kit.database, now)
        files.sweep_strays(now)
        operator.retain(kit.database, now)
        files.sweep()

    def erasures(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        _make_final(kit, files, now)

    def sweep(_job: Job, _now: dt.datetime, _stop: Stop) -> None:
        erase_again(kit, files)
        files.sweep()

    def take_reminders(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        reminders.take_due(kit.database, now, mail=kit.mail.configured)

    def plan_reminders(job: Job, now: dt.datetime, _stop: Stop) -> None:
        with kit.database.write(job.user_id) as tx:
            reminders.plan(tx, job.user_id, now)

    def send_reminder(job: Job, now: dt.datetime, _stop: Stop) -> None:
        reminders.send(kit.database, kit.mail, kit.settings.base_url, job, now)

    def measure(job: Job, _now: dt.datetime, stop: Stop) -> None:
        if not audio.measure_now(kit.database, job.user_id, UUID(job.subject), stop=stop):
            raise Stopped

    return {
        "partitions": Duty(do=partitions, every=_HOUR),
        "retention": Duty(do=retention, every=_HOUR),
        "sweep": Duty(do=sweep, every=_HOUR),
        "erasures": Duty(do=erasures, every=_HOUR),
        "reminders": Duty(do=take_reminders, every=_MINUTE),
        PLAN_REMINDERS: Duty(do=plan_reminders),
        reminders.SEND: Duty(do=send_reminder),
        MEASURE: Duty(do=measure, lane="slow"),
        **_keeping_safe(kit),
    }


def _make_final(kit: Kit, files: audio.SoundFiles, now: dt.datetime) -> None:
    """Whose days to change their mind are over is erased, and has the receipt by mail."""
    people = erasure.due(kit.database, now)
    if not people:
        return
    operator.check_clock(kit.database, now)
    for gone in erasure.finish(kit.database, people, now):
        address = f"/receipts/{erasure.token(kit.database.vault, gone.receipt.person)}"
        kit.mail.send(gone.email, *erasure.gone_mail(kit.settings.base_url, address, gone.receipt))
    files.sweep()


def erase_again(kit: Kit, files: audio.SoundFiles) -> None:
    """Who was erased is gone, files too, should they have come back with an old backup."""
    if count := privacy.erase_again(kit.database, kit.clock()):
        log.warning("erased people were in the database and are erased again", count=count)
        while files.sweep():
            pass


def _keeping_safe(kit: Kit) -> dict[str, Duty]:
    """The work that shows tomorrow what was there today: backups, checkpoints, the security audit."""

    def backups(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        backup.keep(kit.settings, kit.database, now)

    def security(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        found = operator.housekeeping(kit.database, now)
        inspection.keep(kit.database, inspection.inspect(kit.settings, kit.database, found, now))

    def checkpoint(_job: Job, now: dt.datetime, _stop: Stop) -> None:
        operator.keep_checkpoint(kit.settings, kit.database, now)

    return {
        "backup": Duty(do=backups, every=_HOUR, lane="slow"),
        "checkpoint": Duty(do=checkpoint, every=_HOUR),
        "security_audit": Duty(do=security, every=_DAY, lane="slow"),
    }


def worker(kit: Kit, files: audio.SoundFiles) -> Worker:
    """A worker that knows all of it; it has not been started."""
    return Worker(kit.database, duties(kit, files), kit.clock)
