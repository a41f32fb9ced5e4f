-- name: claim
-- Across people. Workers skip what another is just taking, so none waits and none takes twice.
WITH next AS MATERIALIZED (
    SELECT user_id, id FROM jobs
    WHERE due_at <= :now AND dead_at IS NULL AND lane = :lane
      AND (lease_until IS NULL OR lease_until <= :now OR lease_until > :lease_until)
    ORDER BY due_at, id LIMIT 1
    FOR UPDATE SKIP LOCKED)
UPDATE jobs SET attempts = jobs.attempts + 1, lease_until = :lease_until
FROM next WHERE jobs.user_id = next.user_id AND jobs.id = next.id
RETURNING jobs.user_id, jobs.id, jobs.kind, jobs.subject, jobs.attempts, jobs.failures;
