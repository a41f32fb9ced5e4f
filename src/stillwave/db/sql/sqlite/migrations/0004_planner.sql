-- Which wording of the safety questions was answered (SHA-256 of every word a person saw); NULL: not known.
ALTER TABLE screenings ADD COLUMN wording_sha256 TEXT
    CONSTRAINT screenings_wording_sha256_length CHECK (length(wording_sha256) = 64);

-- "Does it work for me?": whether the beat was there. NULL: the session is not part of the comparison.
-- arm_rating is the rating as it was when the person looked; later ones are not blind.
ALTER TABLE sessions ADD COLUMN arm TEXT CONSTRAINT sessions_arm_length CHECK (length(arm) <= 10)
    CONSTRAINT sessions_arm_known CHECK (arm IN ('beat', 'steady'));
ALTER TABLE sessions ADD COLUMN arm_revealed_at TEXT
    CONSTRAINT sessions_arm_revealed_at_format CHECK (
        arm_revealed_at IS NULL OR (arm_revealed_at GLOB '????-??-??T??:??:??.???Z' AND julianday(arm_revealed_at) IS NOT NULL))
    CONSTRAINT sessions_revealed_has_arm CHECK (arm_revealed_at IS NULL OR arm IS NOT NULL);
ALTER TABLE sessions ADD COLUMN arm_rating INTEGER
    CONSTRAINT sessions_arm_rating_range CHECK (arm_rating BETWEEN 1 AND 5);

-- A person records that a clinician cleared what blocks the beat. What and when is sealed.
CREATE TABLE clearances (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT clearances_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    statement TEXT NOT NULL CONSTRAINT clearances_statement_sealed CHECK (statement GLOB 'sw1.*'),
    created_at TEXT NOT NULL
        CONSTRAINT clearances_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    ended_at TEXT
        CONSTRAINT clearances_ended_at_format CHECK (
            ended_at IS NULL OR (ended_at GLOB '????-??-??T??:??:??.???Z' AND julianday(ended_at) IS NOT NULL)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT clearances_ended_after_created CHECK (ended_at >= created_at),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
