-- Which wording of the safety questions was answered (SHA-256 of every word a person saw); NULL: not known.
ALTER TABLE screenings ADD COLUMN wording_sha256 CHAR(64);

-- "Does it work for me?": whether the beat was there. NULL: the session is not part of the comparison.
-- arm_rating is the rating as it was when the person looked; later ones are not blind.
ALTER TABLE sessions ADD COLUMN arm VARCHAR(10)
    CONSTRAINT sessions_arm_known CHECK (arm IN ('beat', 'steady'));
ALTER TABLE sessions ADD COLUMN arm_revealed_at TIMESTAMP WITH TIME ZONE
    CONSTRAINT sessions_revealed_has_arm CHECK (arm_revealed_at IS NULL OR arm IS NOT NULL);
ALTER TABLE sessions ADD COLUMN arm_rating INTEGER
    CONSTRAINT sessions_arm_rating_range CHECK (arm_rating BETWEEN 1 AND 5);

-- A person records that a clinician cleared what blocks the beat. What and when is sealed.
CREATE TABLE clearances (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    statement TEXT NOT NULL CONSTRAINT clearances_statement_sealed CHECK (statement LIKE 'sw1.%'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (user_id, id),
    CONSTRAINT clearances_ended_after_created CHECK (ended_at >= created_at),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
