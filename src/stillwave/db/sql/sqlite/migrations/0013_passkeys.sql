CREATE TABLE passkeys (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT passkeys_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    credential_id TEXT NOT NULL CONSTRAINT passkeys_credential_id_length CHECK (length(credential_id) <= 1400),
    public_key TEXT NOT NULL CONSTRAINT passkeys_public_key_length CHECK (length(public_key) <= 2000),
    sign_count INTEGER NOT NULL DEFAULT 0 CONSTRAINT passkeys_sign_count_positive CHECK (sign_count >= 0),
    name TEXT NOT NULL CONSTRAINT passkeys_name_sealed CHECK (name GLOB 'sw1.*'),
    created_at TEXT NOT NULL
        CONSTRAINT passkeys_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    last_used_at TEXT
        CONSTRAINT passkeys_last_used_at_format CHECK (
            last_used_at IS NULL OR (last_used_at GLOB '????-??-??T??:??:??.???Z' AND julianday(last_used_at) IS NOT NULL)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT passkeys_credential_unique UNIQUE (user_id, credential_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

-- No foreign key: who signs in with a passkey alone is nobody yet, and has a number of chance until then.
CREATE TABLE passkey_challenges (
    user_id TEXT NOT NULL,
    digest TEXT NOT NULL CONSTRAINT passkey_challenges_digest_length CHECK (length(digest) = 64),
    expires_at TEXT NOT NULL
        CONSTRAINT passkey_challenges_expires_at_format CHECK (
            expires_at IS NULL OR (expires_at GLOB '????-??-??T??:??:??.???Z' AND julianday(expires_at) IS NOT NULL)),
    PRIMARY KEY (user_id, digest)
) STRICT;
