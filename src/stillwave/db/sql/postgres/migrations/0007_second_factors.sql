ALTER TABLE logins ADD COLUMN step_due_by TIMESTAMP WITH TIME ZONE;
ALTER TABLE logins ADD COLUMN two_steps BOOLEAN NOT NULL DEFAULT false;

CREATE TABLE second_factors (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    secret TEXT NOT NULL CONSTRAINT second_factors_secret_sealed CHECK (secret LIKE 'sw1.%'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    last_step BIGINT,
    tries INTEGER NOT NULL DEFAULT 0 CONSTRAINT second_factors_tries_positive CHECK (tries >= 0),
    tries_from TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (user_id, id),
    CONSTRAINT second_factors_one_per_user UNIQUE (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE recovery_codes (
    user_id UUID NOT NULL,
    code_hash CHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, code_hash),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
