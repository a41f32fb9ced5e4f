-- name: counts
SELECT sessions, waiting, strays, months_ahead FROM house_counted(CAST(:today AS date));

-- name: expired_months
SELECT name FROM expired_months(:before);

-- name: count_expired
SELECT expired_sessions(:before) AS n;

-- name: keep_learned!
-- Nothing to do: retire_month does all of it.
SELECT 1 WHERE false;

-- name: retire
SELECT gone, people, dropped FROM retire_month(:name, :before, :most);

-- name: resume_learning!
SELECT 1 WHERE false;

-- name: database_clock
SELECT now() AS at;

-- name: forget_metric_names
SELECT forget_metric_names(:last_erased) AS done;
