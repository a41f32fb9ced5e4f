CREATE TABLE inspections (
    id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    report JSONB NOT NULL,
    mac CHAR(64) NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX idx_inspections_at ON inspections (at);

CREATE TABLE attestations (
    check_id VARCHAR(40) NOT NULL,
    said_at TIMESTAMP WITH TIME ZONE NOT NULL,
    until DATE NOT NULL,
    statement VARCHAR(400) NOT NULL,
    mac CHAR(64) NOT NULL,
    PRIMARY KEY (check_id, said_at)
);

CREATE TABLE breaches (
    id UUID NOT NULL,
    since_at TIMESTAMP WITH TIME ZONE NOT NULL,
    until_at TIMESTAMP WITH TIME ZONE NOT NULL CONSTRAINT breaches_until_after_since CHECK (until_at >= since_at),
    known_at TIMESTAMP WITH TIME ZONE NOT NULL,
    what VARCHAR(80) NOT NULL,
    people BIGINT NOT NULL CONSTRAINT breaches_people_positive CHECK (people >= 0),
    authority_told_at TIMESTAMP WITH TIME ZONE,
    people_told_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE TABLE emergency_accesses (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    operator_id UUID NOT NULL,
    reason TEXT NOT NULL CONSTRAINT emergency_accesses_reason_sealed CHECK (reason LIKE 'sw1.%'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL
        CONSTRAINT emergency_accesses_ends_within_the_hour CHECK (expires_at <= created_at + INTERVAL '1 hour'),
    ended_at TIMESTAMP WITH TIME ZONE,
    seen_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX idx_emergency_accesses_expires ON emergency_accesses (expires_at);
