-- Work that waits. The person is first in the key as everywhere; the installation's own work belongs to the
-- person of zeros, so there is no foreign key.
CREATE TABLE jobs (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    kind VARCHAR(40) NOT NULL,
    subject VARCHAR(80) NOT NULL,
    lane VARCHAR(10) NOT NULL CONSTRAINT jobs_lane_known CHECK (lane IN ('quick', 'slow')),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0 CONSTRAINT jobs_failures_positive CHECK (failures >= 0),
    lease_until TIMESTAMP WITH TIME ZONE,
    dead_at TIMESTAMP WITH TIME ZONE,
    last_error VARCHAR(160),
    PRIMARY KEY (user_id, id),
    CONSTRAINT jobs_once UNIQUE (user_id, kind, subject)
);
CREATE INDEX idx_jobs_due ON jobs (due_at);

CREATE TABLE reminders (
    user_id UUID NOT NULL,
    kind VARCHAR(20) NOT NULL CONSTRAINT reminders_kind_known CHECK (kind IN ('morning', 'evening', 'digest')),
    next_at TIMESTAMP WITH TIME ZONE,
    last_day DATE,
    PRIMARY KEY (user_id, kind),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX idx_reminders_next ON reminders (next_at);

CREATE TABLE calendar_feeds (
    user_id UUID NOT NULL,
    token_hash CHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
