ALTER TABLE logins ADD COLUMN step_due_by TEXT
    CONSTRAINT logins_step_due_by_format CHECK (
        step_due_by IS NULL OR (step_due_by GLOB '????-??-??T??:??:??.???Z' AND julianday(step_due_by) IS NOT NULL));
ALTER TABLE logins ADD COLUMN two_steps INTEGER NOT NULL DEFAULT 0
    CONSTRAINT logins_two_steps_boolean CHECK (two_steps IN (0, 1));

CREATE TABLE second_factors (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT second_factors_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    secret TEXT NOT NULL CONSTRAINT second_factors_secret_sealed CHECK (secret GLOB 'sw1.*'),
    created_at TEXT NOT NULL
        CONSTRAINT second_factors_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    confirmed_at TEXT
        CONSTRAINT second_factors_confirmed_at_format CHECK (
            confirmed_at IS NULL OR (confirmed_at GLOB '????-??-??T??:??:??.???Z' AND julianday(confirmed_at) IS NOT NULL)),
    last_step INTEGER,
    tries INTEGER NOT NULL DEFAULT 0 CONSTRAINT second_factors_tries_positive CHECK (tries >= 0),
    tries_from TEXT
        CONSTRAINT second_factors_tries_from_format CHECK (
            tries_from IS NULL OR (tries_from GLOB '????-??-??T??:??:??.???Z' AND julianday(tries_from) IS NOT NULL)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT second_factors_one_per_user UNIQUE (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL,
    code_hash TEXT NOT NULL CONSTRAINT recovery_codes_code_hash_length CHECK (length(code_hash) = 64),
    created_at TEXT NOT NULL
        CONSTRAINT recovery_codes_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    PRIMARY KEY (user_id, code_hash),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
