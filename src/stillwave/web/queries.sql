-- name: login_of_token
-- The login behind a token with what its person may do; one row or none.
SELECT l.id AS login_id, l.last_seen_at, l.expires_at, l.step_due_by, l.two_steps, l.created_at AS signed_in_at, u.id AS user_id, u.role, u.account_status,
       u.subscription_tier, u.processing_restricted,
       (SELECT max(c.version) FROM consents c
        WHERE c.user_id = u.id AND c.purpose = 'health_data' AND c.withdrawn_at IS NULL) AS consent_version,
       (SELECT max(c.version) FROM consents c
        WHERE c.user_id = u.id AND c.purpose = 'offline_storage' AND c.withdrawn_at IS NULL) AS offline_version,
       (SELECT max(s.answered_at) FROM screenings s WHERE s.user_id = u.id) AS screened_at,
       (SELECT e.final_at FROM erasures e WHERE e.user_id = u.id) AS leaving_at,
       (SELECT max(e.created_at) FROM emergency_accesses e WHERE e.user_id = u.id AND e.seen_at IS NULL) AS opened_at,
       EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = u.id) AS has_passkey
FROM logins l
JOIN users u ON u.id = l.user_id
WHERE l.user_id = :user_id AND l.token_hash = :token_hash;

-- name: touch_login!
UPDATE logins SET last_seen_at = :now WHERE user_id = :user_id AND id = :login_id;

-- name: claim_key!
INSERT INTO idempotency_keys (user_id, key, request_sha256, status, body, created_at)
VALUES (:user_id, :key, :request_sha256, 0, :body, :now)
ON CONFLICT DO NOTHING;

-- name: answer_of_key
SELECT request_sha256, status, body FROM idempotency_keys WHERE user_id = :user_id AND key = :key;

-- name: keep_answer!
UPDATE idempotency_keys SET status = :status, body = :body WHERE user_id = :user_id AND key = :key;
