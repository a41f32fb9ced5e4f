-- Asked by nobody in particular, so each has a narrow way past row-level security: functions/82_narrow_ways.sql.

-- name: count_erasures
SELECT erasures_counted() AS n;

-- name: due_erasures
SELECT user_id FROM due_erasures(:now, :most);
