-- name: due_reminders
-- Across people, so it has a narrow way past row-level security: functions/82_narrow_ways.sql.
SELECT user_id, kind FROM due_reminders(:now, :most);
