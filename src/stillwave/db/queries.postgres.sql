-- name: wait_for_writers!
-- Whoever writes here has ended by the time this is granted; the next may go on as soon as the transaction ends.
LOCK TABLE users, audit_heads, audit_events IN SHARE MODE;
