-- name: pause_learning!
-- Deleted rows fire one by one here: the people's profiles are folded anew once, when the pause ends.
INSERT INTO learning_pause (user_id)
SELECT DISTINCT s.user_id FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.start_time < :before AND u.subscription_tier <> 'premium' AND u.processing_restricted = false
ON CONFLICT DO NOTHING;

-- name: resume_learning!
DELETE FROM learning_pause;

-- name: strays
-- Rows that lie in no month of their own; SQLite has no partitions.
SELECT 0 AS n;
