-- No foreign key: what was done stays on record after the person is erased; their id then leads to nobody.
CREATE TABLE audit_events (
    user_id UUID NOT NULL,
    seq BIGINT NOT NULL CONSTRAINT audit_events_seq_positive CHECK (seq > 0),
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor VARCHAR(20) NOT NULL CONSTRAINT audit_events_actor_known CHECK (actor IN ('self', 'operator', 'system')),
    action VARCHAR(40) NOT NULL,
    detail JSONB NOT NULL,
    prior CHAR(64) NOT NULL,
    mac CHAR(64) NOT NULL,
    PRIMARY KEY (user_id, seq)
);

CREATE TABLE audit_heads (
    user_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    mac CHAR(64) NOT NULL,
    PRIMARY KEY (user_id)
);
