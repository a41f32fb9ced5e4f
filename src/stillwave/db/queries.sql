-- name: begin_chain!
INSERT INTO audit_heads (user_id, seq, mac) VALUES (:user_id, 0, :mac) ON CONFLICT DO NOTHING;

-- name: events_of
SELECT user_id, seq, at, actor, action, detail, prior, mac FROM audit_events
WHERE user_id = :user_id AND seq < :before ORDER BY seq DESC LIMIT :most;

-- name: chain_of
SELECT user_id, seq, at, actor, action, detail, prior, mac FROM audit_events
WHERE user_id = :user_id AND seq > :after ORDER BY seq LIMIT :most;

-- name: head_of
SELECT user_id, seq, mac FROM audit_heads WHERE user_id = :user_id;

-- name: heads
SELECT user_id, seq, mac FROM audit_heads ORDER BY user_id;

-- name: outlived
-- People whose oldest events are past their time; the event that tells of a trim stays with those after it.
SELECT DISTINCT user_id FROM audit_events WHERE at < :before ORDER BY user_id LIMIT :most;

-- name: last_outlived
SELECT max(seq) AS seq FROM audit_events WHERE user_id = :user_id AND at < :before;

-- name: delete_events!
DELETE FROM audit_events WHERE user_id = :user_id AND seq <= :last;

-- name: first_left
SELECT min(seq) AS seq FROM audit_events WHERE user_id = :user_id;

-- name: headless
-- People of whom there are events but no head: the head was removed by hand.
SELECT DISTINCT user_id FROM audit_events AS e
WHERE NOT EXISTS (SELECT 1 FROM audit_heads AS h WHERE h.user_id = e.user_id);

-- name: contacts_after
SELECT id, email, email_index, phone_number, phone_index FROM users WHERE id > :after ORDER BY id LIMIT :most;

-- name: set_indexes!
UPDATE users SET email_index = :email_index, phone_index = :phone_index WHERE id = :user_id;

-- name: files_of
SELECT file_path FROM audio_files WHERE user_id = :user_id;
