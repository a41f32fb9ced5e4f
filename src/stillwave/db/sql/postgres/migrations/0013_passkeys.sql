CREATE TABLE passkeys (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    credential_id VARCHAR(1400) NOT NULL,
    public_key VARCHAR(2000) NOT NULL,
    sign_count BIGINT NOT NULL DEFAULT 0 CONSTRAINT passkeys_sign_count_positive CHECK (sign_count >= 0),
    name TEXT NOT NULL CONSTRAINT passkeys_name_sealed CHECK (name LIKE 'sw1.%'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (user_id, id),
    CONSTRAINT passkeys_credential_unique UNIQUE (user_id, credential_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- No foreign key: who signs in with a passkey alone is nobody yet, and has a number of chance until then.
CREATE TABLE passkey_challenges (
    user_id UUID NOT NULL,
    digest CHAR(64) NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, digest)
);
