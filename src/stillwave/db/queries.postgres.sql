-- name: wait_for_writers!
-- Whoever writes here has ended by the time this is granted; the next may go on as soon as the transaction ends.
LOCK TABLE users, audit_heads, audit_events IN SHARE MODE;

-- name: hold_head
-- The end of a person's chain; it is theirs until the transaction ends.
SELECT seq, mac FROM audit_heads WHERE user_id = :user_id FOR UPDATE;

-- name: append_event!
-- In one statement: whoever waits for the head waits for one way there and back less.
WITH event AS (
    INSERT INTO audit_events (user_id, seq, at, actor, action, detail, prior, mac)
    VALUES (:user_id, :seq, :at, :actor, :action, :detail, :prior, :mac)
)
UPDATE audit_heads SET seq = :seq, mac = :mac WHERE user_id = :user_id;
