-- name: ping
SELECT 1 AS up;

-- name: waiting_unlinks
SELECT count(*) AS n FROM unlink_outbox;

-- name: session_count
SELECT count(*) AS n FROM sessions;

-- name: count_expired
-- Sessions that the retention rule lets go: older than a year, not of premium people, not restricted.
SELECT count(*) AS n FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.start_time < :before AND u.subscription_tier <> 'premium' AND u.processing_restricted = false;

-- name: delete_expired!
DELETE FROM sessions WHERE (user_id, id, start_time) IN (
    SELECT s.user_id, s.id, s.start_time FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.start_time < :before AND u.subscription_tier <> 'premium' AND u.processing_restricted = false
    ORDER BY s.user_id, s.start_time LIMIT :most);
