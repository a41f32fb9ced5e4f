-- name: insert!
INSERT INTO breaches (id, since_at, until_at, known_at, what, people)
VALUES (:id, :since_at, :until_at, :known_at, :what, :people) ON CONFLICT DO NOTHING;

-- name: breaches
SELECT id, since_at, until_at, known_at, what, people, authority_told_at, people_told_at FROM breaches ORDER BY known_at DESC;

-- name: breach
SELECT id, since_at, until_at, known_at, what, people, authority_told_at, people_told_at FROM breaches WHERE id = :id;

-- name: authority_told!
UPDATE breaches SET authority_told_at = :now WHERE id = :id;

-- name: people_told!
UPDATE breaches SET people_told_at = :now WHERE id = :id;

-- name: people_then
-- Across people: who had an account in that time, by their own log. Erased since: no account is there any more.
SELECT h.user_id, u.id IS NOT NULL AS there
FROM audit_heads AS h LEFT JOIN users AS u ON u.id = h.user_id
WHERE EXISTS (SELECT 1 FROM audit_events AS e WHERE e.user_id = h.user_id AND e.at <= :until)
  AND NOT EXISTS (SELECT 1 FROM audit_events AS e WHERE e.user_id = h.user_id AND e.action = 'account.erased' AND e.at < :since)
  AND EXISTS (SELECT 1 FROM audit_events AS e WHERE e.user_id = h.user_id AND e.action = 'account.created')
UNION SELECT id, true FROM users WHERE created_at <= :until
ORDER BY 1;

-- name: signed_in_then
-- Across people: whose sign-ins began or ended in that time.
SELECT DISTINCT e.user_id, u.id IS NOT NULL AS there
FROM audit_events AS e LEFT JOIN users AS u ON u.id = e.user_id
WHERE e.at BETWEEN :since AND :until AND e.action IN ('login.opened', 'login.ended', 'logins.ended')
ORDER BY 1;

-- name: noted
SELECT detail FROM audit_events WHERE user_id = :user_id AND action = 'breach.noted';
