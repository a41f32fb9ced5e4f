-- name: wait_for_writers!
-- The transaction began by waiting for every other writer.
SELECT 1;

-- name: hold_head
-- The end of a person's chain; a transaction that writes is alone here.
SELECT seq, mac FROM audit_heads WHERE user_id = :user_id;

-- name: append_event!
INSERT INTO audit_events (user_id, seq, at, actor, action, detail, prior, mac)
VALUES (:user_id, :seq, :at, :actor, :action, :detail, :prior, :mac);
UPDATE audit_heads SET seq = :seq, mac = :mac WHERE user_id = :user_id;
