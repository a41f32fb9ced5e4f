-- name: due_reminders
-- Across people: whose reminder is due. Who is switched off, paused or took the consent back is not among them.
SELECT r.user_id, r.kind FROM reminders r JOIN users u ON u.id = r.user_id
WHERE r.next_at <= :now AND u.account_status = 'active' AND u.processing_restricted = false
  AND EXISTS (SELECT 1 FROM consents c
              WHERE c.user_id = r.user_id AND c.purpose = 'reminders' AND c.withdrawn_at IS NULL)
ORDER BY r.next_at, r.user_id LIMIT :most;
