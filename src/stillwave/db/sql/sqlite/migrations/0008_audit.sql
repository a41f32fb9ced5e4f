-- No foreign key: what was done stays on record after the person is erased; their id then leads to nobody.
CREATE TABLE audit_events (
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL CONSTRAINT audit_events_seq_positive CHECK (seq > 0),
    at TEXT NOT NULL
        CONSTRAINT audit_events_at_format CHECK (
            at IS NULL OR (at GLOB '????-??-??T??:??:??.???Z' AND julianday(at) IS NOT NULL)),
    actor TEXT NOT NULL CONSTRAINT audit_events_actor_length CHECK (length(actor) <= 20)
        CONSTRAINT audit_events_actor_known CHECK (actor IN ('self', 'operator', 'system')),
    action TEXT NOT NULL CONSTRAINT audit_events_action_length CHECK (length(action) <= 40),
    detail TEXT NOT NULL CONSTRAINT audit_events_detail_json CHECK (detail IS NULL OR json_valid(detail)),
    prior TEXT NOT NULL CONSTRAINT audit_events_prior_length CHECK (length(prior) = 64),
    mac TEXT NOT NULL CONSTRAINT audit_events_mac_length CHECK (length(mac) = 64),
    PRIMARY KEY (user_id, seq)
) STRICT;

CREATE TABLE audit_heads (
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    mac TEXT NOT NULL CONSTRAINT audit_heads_mac_length CHECK (length(mac) = 64),
    PRIMARY KEY (user_id)
) STRICT;
