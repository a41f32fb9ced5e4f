-- How far a promotion has come, step by step; written in the transaction of the rows it counts.
CREATE TABLE promotion_steps (
    source CHAR(64) NOT NULL,
    step VARCHAR(63) NOT NULL,
    position TEXT,
    done BOOLEAN NOT NULL DEFAULT false,
    counts JSONB NOT NULL,
    digest CHAR(64) NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (source, step)
);

-- Rows that could not be taken over, or only changed; the original is sealed. Rows that lead to nobody belong to the
-- person of zeros, so there is no foreign key.
CREATE TABLE promotion_rejects (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    source_table VARCHAR(63) NOT NULL,
    source_key VARCHAR(200) NOT NULL,
    outcome VARCHAR(10) NOT NULL CONSTRAINT promotion_rejects_outcome_known CHECK (outcome IN ('rejected', 'repaired')),
    reason VARCHAR(40) NOT NULL,
    original TEXT CONSTRAINT promotion_rejects_original_sealed CHECK (original LIKE 'sw1.%'),
    PRIMARY KEY (user_id, id)
);
