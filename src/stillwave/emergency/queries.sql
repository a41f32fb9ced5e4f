-- name: insert!
INSERT INTO emergency_accesses (user_id, id, operator_id, reason, created_at, expires_at)
VALUES (:user_id, :id, :operator_id, :reason, :now, :expires_at);

-- name: accesses_of
SELECT user_id, id, operator_id, reason, created_at, expires_at, ended_at, seen_at FROM emergency_accesses
WHERE user_id = :user_id ORDER BY created_at DESC, id DESC LIMIT :most;

-- name: access
SELECT user_id, id, operator_id, reason, created_at, expires_at, ended_at, seen_at FROM emergency_accesses
WHERE user_id = :user_id AND id = :id;

-- name: end!
UPDATE emergency_accesses SET ended_at = :now WHERE user_id = :user_id AND id = :id AND ended_at IS NULL AND expires_at > :now;

-- name: seen!
UPDATE emergency_accesses SET seen_at = :now WHERE user_id = :user_id AND id = :id AND seen_at IS NULL;

-- name: running
-- Across people: who looks at whose data just now.
SELECT user_id, id, operator_id, created_at, expires_at, ended_at FROM emergency_accesses
WHERE expires_at > :now AND ended_at IS NULL ORDER BY created_at DESC LIMIT :most;
