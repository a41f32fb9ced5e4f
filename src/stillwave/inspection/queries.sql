-- name: insert_inspection!
INSERT INTO inspections (id, at, report, mac) VALUES (:id, :at, :report, :mac);

-- name: newest_inspections
SELECT id, at, report, mac FROM inspections ORDER BY at DESC, id DESC LIMIT :most;

-- name: delete_outlived_inspections!
DELETE FROM inspections WHERE at < :before;

-- name: insert_attestation!
INSERT INTO attestations (check_id, said_at, until, statement, mac)
VALUES (:check_id, :said_at, :until, :statement, :mac);

-- name: attestations
SELECT check_id, said_at, until, statement, mac FROM attestations ORDER BY said_at;

-- name: late_breaches
-- Breaches of which nobody was told in the time that the law gives.
SELECT count(*) AS n FROM breaches
WHERE (authority_told_at IS NULL AND known_at < :three_days_ago) OR (people_told_at IS NULL AND known_at < :sixty_days_ago);
