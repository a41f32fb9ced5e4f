-- name: may_be_reminded
SELECT u.id FROM users u
WHERE u.id = :user_id AND u.account_status = 'active' AND u.processing_restricted = false
  AND EXISTS (SELECT 1 FROM consents c
              WHERE c.user_id = u.id AND c.purpose = 'reminders' AND c.withdrawn_at IS NULL);

-- name: reminder_of
SELECT next_at, last_day FROM reminders WHERE user_id = :user_id AND kind = :kind;

-- name: plan!
INSERT INTO reminders (user_id, kind, next_at) VALUES (:user_id, :kind, :next_at)
ON CONFLICT (user_id, kind) DO UPDATE SET next_at = excluded.next_at;

-- name: take_day!
-- The day is taken once: a second worker, or a second time on the same day, changes nothing.
UPDATE reminders SET last_day = :day, next_at = :next_at
WHERE user_id = :user_id AND kind = :kind AND next_at = :due_at AND (last_day IS NULL OR last_day < :day);

-- name: set_feed!
INSERT INTO calendar_feeds (user_id, token_hash, created_at) VALUES (:user_id, :token_hash, :now)
ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, created_at = excluded.created_at;

-- name: remove_feed!
DELETE FROM calendar_feeds WHERE user_id = :user_id;

-- name: feed_since
SELECT created_at FROM calendar_feeds WHERE user_id = :user_id;

-- name: feed_of_token
SELECT f.user_id FROM calendar_feeds f JOIN users u ON u.id = f.user_id
WHERE f.user_id = :user_id AND f.token_hash = :token_hash AND u.account_status = 'active'
  AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = u.id);
