-- Who asked for erasure and may still change their mind. While the row is there their data is restricted as well.
CREATE TABLE erasures (
    user_id TEXT NOT NULL,
    asked_at TEXT NOT NULL
        CONSTRAINT erasures_asked_at_format CHECK (
            asked_at IS NULL OR (asked_at GLOB '????-??-??T??:??:??.???Z' AND julianday(asked_at) IS NOT NULL)),
    final_at TEXT NOT NULL
        CONSTRAINT erasures_final_at_format CHECK (
            final_at IS NULL OR (final_at GLOB '????-??-??T??:??:??.???Z' AND julianday(final_at) IS NOT NULL)),
    restricted_before INTEGER NOT NULL
        CONSTRAINT erasures_restricted_before_boolean CHECK (restricted_before IN (0, 1)),
    PRIMARY KEY (user_id),
    CONSTRAINT erasures_final_after_asked CHECK (final_at >= asked_at),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_erasures_final ON erasures (final_at);
