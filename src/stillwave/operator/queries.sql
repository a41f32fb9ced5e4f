-- name: ping
SELECT 1 AS up;

-- name: waiting_unlinks
SELECT count(*) AS n FROM unlink_outbox;

-- name: session_count
SELECT count(*) AS n FROM sessions;
