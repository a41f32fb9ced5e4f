CREATE TABLE inspections (
    id TEXT NOT NULL
        CONSTRAINT inspections_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    at TEXT NOT NULL
        CONSTRAINT inspections_at_format CHECK (
            at IS NULL OR (at GLOB '????-??-??T??:??:??.???Z' AND julianday(at) IS NOT NULL)),
    report TEXT NOT NULL CONSTRAINT inspections_report_json CHECK (report IS NULL OR json_valid(report)),
    mac TEXT NOT NULL CONSTRAINT inspections_mac_length CHECK (length(mac) = 64),
    PRIMARY KEY (id)
) STRICT;
CREATE INDEX idx_inspections_at ON inspections (at);

CREATE TABLE attestations (
    check_id TEXT NOT NULL CONSTRAINT attestations_check_id_length CHECK (length(check_id) <= 40),
    said_at TEXT NOT NULL
        CONSTRAINT attestations_said_at_format CHECK (
            said_at IS NULL OR (said_at GLOB '????-??-??T??:??:??.???Z' AND julianday(said_at) IS NOT NULL)),
    until TEXT NOT NULL
        CONSTRAINT attestations_until_day CHECK (until IS date(until)),
    statement TEXT NOT NULL CONSTRAINT attestations_statement_length CHECK (length(statement) <= 400),
    mac TEXT NOT NULL CONSTRAINT attestations_mac_length CHECK (length(mac) = 64),
    PRIMARY KEY (check_id, said_at)
) STRICT;

CREATE TABLE breaches (
    id TEXT NOT NULL
        CONSTRAINT breaches_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    since_at TEXT NOT NULL
        CONSTRAINT breaches_since_at_format CHECK (
            since_at IS NULL OR (since_at GLOB '????-??-??T??:??:??.???Z' AND julianday(since_at) IS NOT NULL)),
    until_at TEXT NOT NULL
        CONSTRAINT breaches_until_at_format CHECK (
            until_at IS NULL OR (until_at GLOB '????-??-??T??:??:??.???Z' AND julianday(until_at) IS NOT NULL))
        CONSTRAINT breaches_until_after_since CHECK (until_at >= since_at),
    known_at TEXT NOT NULL
        CONSTRAINT breaches_known_at_format CHECK (
            known_at IS NULL OR (known_at GLOB '????-??-??T??:??:??.???Z' AND julianday(known_at) IS NOT NULL)),
    what TEXT NOT NULL CONSTRAINT breaches_what_length CHECK (length(what) <= 80),
    people INTEGER NOT NULL CONSTRAINT breaches_people_positive CHECK (people >= 0),
    authority_told_at TEXT
        CONSTRAINT breaches_authority_told_at_format CHECK (
            authority_told_at IS NULL OR (authority_told_at GLOB '????-??-??T??:??:??.???Z' AND julianday(authority_told_at) IS NOT NULL)),
    people_told_at TEXT
        CONSTRAINT breaches_people_told_at_format CHECK (
            people_told_at IS NULL OR (people_told_at GLOB '????-??-??T??:??:??.???Z' AND julianday(people_told_at) IS NOT NULL)),
    PRIMARY KEY (id)
) STRICT;

CREATE TABLE emergency_accesses (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT emergency_accesses_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    operator_id TEXT NOT NULL,
    reason TEXT NOT NULL CONSTRAINT emergency_accesses_reason_sealed CHECK (reason GLOB 'sw1.*'),
    created_at TEXT NOT NULL
        CONSTRAINT emergency_accesses_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    expires_at TEXT NOT NULL
        CONSTRAINT emergency_accesses_expires_at_format CHECK (
            expires_at IS NULL OR (expires_at GLOB '????-??-??T??:??:??.???Z' AND julianday(expires_at) IS NOT NULL))
        CONSTRAINT emergency_accesses_ends_within_the_hour CHECK (
            julianday(expires_at) <= julianday(created_at) + 1.0 / 24 + 1e-8),
    ended_at TEXT
        CONSTRAINT emergency_accesses_ended_at_format CHECK (
            ended_at IS NULL OR (ended_at GLOB '????-??-??T??:??:??.???Z' AND julianday(ended_at) IS NOT NULL)),
    seen_at TEXT
        CONSTRAINT emergency_accesses_seen_at_format CHECK (
            seen_at IS NULL OR (seen_at GLOB '????-??-??T??:??:??.???Z' AND julianday(seen_at) IS NOT NULL)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_emergency_accesses_expires ON emergency_accesses (expires_at);
