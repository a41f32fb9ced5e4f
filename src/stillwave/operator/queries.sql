-- name: ping
SELECT 1 AS up;

-- name: delete_ended_logins!
DELETE FROM logins WHERE (user_id, id) IN (
    SELECT user_id, id FROM logins WHERE expires_at <= :now OR last_seen_at <= :idle_since OR step_due_by <= :now LIMIT :most);

-- name: count_ended_logins
SELECT count(*) AS n FROM logins WHERE expires_at <= :now OR last_seen_at <= :idle_since OR step_due_by <= :now;

-- name: delete_old_recoveries!
DELETE FROM recoveries WHERE (user_id, token_hash) IN (
    SELECT user_id, token_hash FROM recoveries WHERE expires_at <= :now LIMIT :most);

-- name: count_old_recoveries
SELECT count(*) AS n FROM recoveries WHERE expires_at <= :now;

-- name: delete_old_challenges!
DELETE FROM passkey_challenges WHERE (user_id, digest) IN (
    SELECT user_id, digest FROM passkey_challenges WHERE expires_at <= :now LIMIT :most);

-- name: count_old_challenges
SELECT count(*) AS n FROM passkey_challenges WHERE expires_at <= :now;

-- name: delete_old_answers!
DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys WHERE created_at < :before LIMIT :most);

-- name: count_old_answers
SELECT count(*) AS n FROM idempotency_keys WHERE created_at < :before;

-- name: addresses
SELECT id, email FROM users;

-- name: count_waiting_files
SELECT count(*) AS n FROM unlink_outbox;

-- name: clock_facts
SELECT name, value FROM installation WHERE name IN ('clock_seen', 'clock_looked', 'clock_doubted');

-- name: set_clock_fact!
INSERT INTO installation (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;
