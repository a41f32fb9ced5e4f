-- How far a promotion has come, step by step; written in the transaction of the rows it counts.
CREATE TABLE promotion_steps (
    source TEXT NOT NULL CONSTRAINT promotion_steps_source_length CHECK (length(source) = 64),
    step TEXT NOT NULL CONSTRAINT promotion_steps_step_length CHECK (length(step) <= 63),
    position TEXT,
    done INTEGER NOT NULL DEFAULT 0 CONSTRAINT promotion_steps_done_boolean CHECK (done IN (0, 1)),
    counts TEXT NOT NULL CONSTRAINT promotion_steps_counts_json CHECK (counts IS NULL OR json_valid(counts)),
    digest TEXT NOT NULL CONSTRAINT promotion_steps_digest_length CHECK (length(digest) = 64),
    started_at TEXT NOT NULL
        CONSTRAINT promotion_steps_started_at_format CHECK (
            started_at IS NULL OR (started_at GLOB '????-??-??T??:??:??.???Z' AND julianday(started_at) IS NOT NULL)),
    updated_at TEXT NOT NULL
        CONSTRAINT promotion_steps_updated_at_format CHECK (
            updated_at IS NULL OR (updated_at GLOB '????-??-??T??:??:??.???Z' AND julianday(updated_at) IS NOT NULL)),
    PRIMARY KEY (source, step)
) STRICT;

-- Rows that could not be taken over, or only changed; the original is sealed. Rows that lead to nobody belong to the
-- person of zeros, so there is no foreign key.
CREATE TABLE promotion_rejects (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT promotion_rejects_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    source_table TEXT NOT NULL CONSTRAINT promotion_rejects_source_table_length CHECK (length(source_table) <= 63),
    source_key TEXT NOT NULL CONSTRAINT promotion_rejects_source_key_length CHECK (length(source_key) <= 200),
    outcome TEXT NOT NULL CONSTRAINT promotion_rejects_outcome_length CHECK (length(outcome) <= 10)
        CONSTRAINT promotion_rejects_outcome_known CHECK (outcome IN ('rejected', 'repaired')),
    reason TEXT NOT NULL CONSTRAINT promotion_rejects_reason_length CHECK (length(reason) <= 40),
    original TEXT CONSTRAINT promotion_rejects_original_sealed CHECK (original GLOB 'sw1.*'),
    PRIMARY KEY (user_id, id)
) STRICT;
