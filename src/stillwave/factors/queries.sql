-- name: factor_of
SELECT id, secret, created_at, confirmed_at,
       (SELECT count(*) FROM recovery_codes AS c WHERE c.user_id = f.user_id) AS codes_left
FROM second_factors AS f WHERE user_id = :user_id;

-- name: insert_factor!
INSERT INTO second_factors (user_id, id, secret, created_at) VALUES (:user_id, :id, :secret, :now);

-- name: confirm_factor!
UPDATE second_factors SET confirmed_at = :now WHERE user_id = :user_id AND confirmed_at IS NULL;

-- name: delete_factor!
DELETE FROM second_factors WHERE user_id = :user_id;

-- name: count_try!
-- One more code is tried; no row changes when the tries of this window are used up.
UPDATE second_factors
SET tries = CASE WHEN tries_from > :since THEN tries + 1 ELSE 1 END,
    tries_from = CASE WHEN tries_from > :since THEN tries_from ELSE :now END
WHERE user_id = :user_id AND (tries_from IS NULL OR tries_from <= :since OR tries < :most);

-- name: use_step!
-- The code of a half minute opens once, and none before it opens after it.
UPDATE second_factors SET last_step = :step, tries = 0
WHERE user_id = :user_id AND (last_step IS NULL OR last_step < :step);

-- name: forgive_tries!
UPDATE second_factors SET tries = 0 WHERE user_id = :user_id;

-- name: insert_recovery_code!
INSERT INTO recovery_codes (user_id, code_hash, created_at) VALUES (:user_id, :code_hash, :now);

-- name: use_recovery_code!
DELETE FROM recovery_codes WHERE user_id = :user_id AND code_hash = :code_hash;

-- name: delete_recovery_codes!
DELETE FROM recovery_codes WHERE user_id = :user_id;

-- name: delete_unneeded_codes!
-- Recovery codes stand in for an app or a passkey; without either they are nothing.
DELETE FROM recovery_codes WHERE user_id = :user_id
    AND NOT EXISTS (SELECT 1 FROM passkeys AS p WHERE p.user_id = :user_id)
    AND NOT EXISTS (SELECT 1 FROM second_factors AS f WHERE f.user_id = :user_id);

-- name: codes_left
SELECT count(*) AS n FROM recovery_codes WHERE user_id = :user_id;

-- name: passkeys_of
SELECT id, credential_id, public_key, name, created_at, last_used_at FROM passkeys
WHERE user_id = :user_id ORDER BY created_at, id;

-- name: passkey_of
SELECT id, credential_id, public_key, name, created_at, last_used_at FROM passkeys
WHERE user_id = :user_id AND credential_id = :credential_id;

-- name: insert_passkey!
INSERT INTO passkeys (user_id, id, credential_id, public_key, sign_count, name, created_at)
VALUES (:user_id, :id, :credential_id, :public_key, :sign_count, :name, :now);

-- name: rename_passkey!
UPDATE passkeys SET name = :name WHERE user_id = :user_id AND id = :id;

-- name: count_signature!
UPDATE passkeys SET sign_count = :sign_count, last_used_at = :now
WHERE user_id = :user_id AND id = :id AND (sign_count < :sign_count OR (sign_count = 0 AND :sign_count = 0));

-- name: delete_passkey!
DELETE FROM passkeys WHERE user_id = :user_id AND id = :id;

-- name: delete_passkeys!
DELETE FROM passkeys WHERE user_id = :user_id;

-- name: insert_challenge!
INSERT INTO passkey_challenges (user_id, digest, expires_at) VALUES (:user_id, :digest, :expires_at);

-- name: use_challenge!
DELETE FROM passkey_challenges WHERE user_id = :user_id AND digest = :digest AND expires_at > :now;

-- name: drop_challenges!
DELETE FROM passkey_challenges WHERE user_id = :user_id AND expires_at <= :now;
