-- Who asked for erasure and may still change their mind. While the row is there their data is restricted as well.
CREATE TABLE erasures (
    user_id UUID NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    final_at TIMESTAMP WITH TIME ZONE NOT NULL,
    restricted_before BOOLEAN NOT NULL,
    PRIMARY KEY (user_id),
    CONSTRAINT erasures_final_after_asked CHECK (final_at >= asked_at),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX idx_erasures_final ON erasures (final_at);
