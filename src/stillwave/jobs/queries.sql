-- name: enqueue!
-- What waits already is begun anew under a new id: a worker that has just read the old state cannot end it.
INSERT INTO jobs (user_id, id, kind, subject, lane, created_at, due_at)
VALUES (:user_id, :id, :kind, :subject, :lane, :now, :due_at)
ON CONFLICT (user_id, kind, subject) DO UPDATE
SET id = excluded.id, due_at = excluded.due_at, attempts = 0, failures = 0, lease_until = NULL, dead_at = NULL,
    last_error = NULL;

-- name: keep_to_timetable!
-- Repeating work exists, and is due within one period from now also after the clock was set back.
INSERT INTO jobs (user_id, id, kind, subject, lane, created_at, due_at)
VALUES (:user_id, :id, :kind, '', :lane, :now, :now)
ON CONFLICT (user_id, kind, subject) DO UPDATE
SET due_at = CASE WHEN jobs.due_at > :latest THEN excluded.due_at ELSE jobs.due_at END;

-- name: next_due
-- Across people: when the next job of this lane is due; a lease beyond `farthest` comes from a clock that was wrong.
SELECT min(CASE WHEN lease_until > due_at AND lease_until <= :farthest THEN lease_until ELSE due_at END) AS due_at
FROM jobs WHERE dead_at IS NULL AND lane = :lane;

-- name: done!
DELETE FROM jobs WHERE user_id = :user_id AND id = :id AND attempts = :attempts;

-- name: done_until!
UPDATE jobs SET due_at = :due_at, attempts = 0, failures = 0, lease_until = NULL, last_error = NULL
WHERE user_id = :user_id AND id = :id AND attempts = :attempts;

-- name: failed!
UPDATE jobs SET due_at = :due_at, failures = failures + 1, lease_until = NULL, last_error = :error
WHERE user_id = :user_id AND id = :id AND attempts = :attempts;

-- name: bury!
UPDATE jobs SET failures = :failures, lease_until = NULL, last_error = :error, dead_at = :now
WHERE user_id = :user_id AND id = :id AND attempts = :attempts;

-- name: give_back!
UPDATE jobs SET attempts = attempts - 1, lease_until = NULL
WHERE user_id = :user_id AND id = :id AND attempts = :attempts;

-- name: forget!
DELETE FROM jobs WHERE user_id = :user_id;

-- name: counts
-- Across people.
SELECT count(CASE WHEN dead_at IS NULL AND due_at > :now AND (lease_until IS NULL OR lease_until <= :now) THEN 1 END) AS waiting,
       count(CASE WHEN dead_at IS NULL AND due_at <= :now AND (lease_until IS NULL OR lease_until <= :now) THEN 1 END) AS due,
       count(CASE WHEN dead_at IS NULL AND lease_until > :now THEN 1 END) AS running,
       count(CASE WHEN dead_at IS NULL AND failures > 0 THEN 1 END) AS failing,
       count(dead_at) AS dead,
       min(CASE WHEN dead_at IS NULL THEN due_at END) AS oldest_due_at
FROM jobs;

-- name: in_trouble
-- Across people: what failed at least once, the dead first.
SELECT user_id, id, kind, attempts, failures, due_at, dead_at, last_error FROM jobs
WHERE failures > 0 OR dead_at IS NOT NULL
ORDER BY CASE WHEN dead_at IS NULL THEN 1 ELSE 0 END, due_at, id LIMIT :most;

-- name: retry!
UPDATE jobs SET due_at = :now, attempts = 0, failures = 0, lease_until = NULL, dead_at = NULL
WHERE id = :id AND (dead_at IS NOT NULL OR failures > 0);

-- name: drop!
DELETE FROM jobs WHERE id = :id AND dead_at IS NOT NULL;
