-- name: days_with_metric
-- A function, for the GIN index cannot be used beneath row-level security: functions/82_narrow_ways.sql. It asks for
-- the person the transaction acts for; the condition here only says so once more.
SELECT id, date, metrics, notes, sleep_quality, stress_level, focus_score
FROM days_with_metric(:metric, :first, :last)
WHERE :user_id = stillwave_person();
