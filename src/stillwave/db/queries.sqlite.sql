-- name: wait_for_writers!
-- The transaction began by waiting for every other writer.
SELECT 1;
