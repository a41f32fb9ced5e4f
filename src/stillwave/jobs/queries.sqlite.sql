-- name: claim
-- One statement in a transaction that holds the file's write lock from its beginning: nobody can come between.
UPDATE jobs SET attempts = attempts + 1, lease_until = :lease_until
WHERE (user_id, id) = (
    SELECT user_id, id FROM jobs
    WHERE due_at <= :now AND dead_at IS NULL AND lane = :lane
      AND (lease_until IS NULL OR lease_until <= :now OR lease_until > :lease_until)
    ORDER BY due_at, id LIMIT 1)
RETURNING user_id, id, kind, subject, attempts, failures;
