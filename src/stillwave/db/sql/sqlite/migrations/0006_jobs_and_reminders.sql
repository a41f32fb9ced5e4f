-- Work that waits. The person is first in the key as everywhere; the installation's own work belongs to the
-- person of zeros, so there is no foreign key.
CREATE TABLE jobs (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT jobs_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    kind TEXT NOT NULL CONSTRAINT jobs_kind_length CHECK (length(kind) <= 40),
    subject TEXT NOT NULL CONSTRAINT jobs_subject_length CHECK (length(subject) <= 80),
    lane TEXT NOT NULL
        CONSTRAINT jobs_lane_length CHECK (length(lane) <= 10)
        CONSTRAINT jobs_lane_known CHECK (lane IN ('quick', 'slow')),
    created_at TEXT NOT NULL
        CONSTRAINT jobs_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    due_at TEXT NOT NULL
        CONSTRAINT jobs_due_at_format CHECK (
            due_at IS NULL OR (due_at GLOB '????-??-??T??:??:??.???Z' AND julianday(due_at) IS NOT NULL)),
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0 CONSTRAINT jobs_failures_positive CHECK (failures >= 0),
    lease_until TEXT
        CONSTRAINT jobs_lease_until_format CHECK (
            lease_until IS NULL OR (lease_until GLOB '????-??-??T??:??:??.???Z' AND julianday(lease_until) IS NOT NULL)),
    dead_at TEXT
        CONSTRAINT jobs_dead_at_format CHECK (
            dead_at IS NULL OR (dead_at GLOB '????-??-??T??:??:??.???Z' AND julianday(dead_at) IS NOT NULL)),
    last_error TEXT CONSTRAINT jobs_last_error_length CHECK (length(last_error) <= 160),
    PRIMARY KEY (user_id, id),
    CONSTRAINT jobs_once UNIQUE (user_id, kind, subject)
) STRICT;
CREATE INDEX idx_jobs_due ON jobs (due_at);

CREATE TABLE reminders (
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT reminders_kind_length CHECK (length(kind) <= 20)
        CONSTRAINT reminders_kind_known CHECK (kind IN ('morning', 'evening', 'digest')),
    next_at TEXT
        CONSTRAINT reminders_next_at_format CHECK (
            next_at IS NULL OR (next_at GLOB '????-??-??T??:??:??.???Z' AND julianday(next_at) IS NOT NULL)),
    last_day TEXT CONSTRAINT reminders_last_day_day CHECK (last_day IS date(last_day)),
    PRIMARY KEY (user_id, kind),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_reminders_next ON reminders (next_at);

CREATE TABLE calendar_feeds (
    user_id TEXT NOT NULL,
    token_hash TEXT NOT NULL CONSTRAINT calendar_feeds_token_hash_length CHECK (length(token_hash) = 64),
    created_at TEXT NOT NULL
        CONSTRAINT calendar_feeds_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    PRIMARY KEY (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
