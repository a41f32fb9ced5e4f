-- name: counts
-- SQLite has no partitions: no row lies outside of its month, and no month is wanted ahead.
SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM unlink_outbox) AS waiting,
       0 AS strays, NULL AS months_ahead, :today AS today;

-- name: expired_months
-- All months are one table.
SELECT 'sessions' AS name WHERE :before IS NOT NULL;

-- name: count_expired
-- Sessions that the retention rule lets go: older than a year, not of premium people, not restricted.
SELECT count(*) AS n FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.start_time < :before AND u.subscription_tier <> 'premium' AND u.processing_restricted = false;

-- name: keep_learned!
-- What was learned from the expired sessions of the next few people stays; their profiles are not folded anew.
INSERT INTO learning_pause (user_id, keep_before)
SELECT u.id, :before FROM users u
WHERE u.subscription_tier <> 'premium' AND u.processing_restricted = false
  AND EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.start_time < :before)
ORDER BY u.id LIMIT :most;

-- name: retire
DELETE FROM sessions WHERE user_id IN (SELECT user_id FROM learning_pause) AND start_time < :before
RETURNING 1 AS gone;

-- name: resume_learning!
DELETE FROM learning_pause;

-- name: database_clock
-- The file's own clock is this machine's.
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS at;

-- name: forget_metric_names
-- The file is encrypted as a whole; nothing lies in an index in the clear.
SELECT false AS done WHERE :last_erased IS NOT NULL;
