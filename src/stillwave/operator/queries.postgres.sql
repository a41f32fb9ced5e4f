-- name: strays
-- Rows that lie in no month of their own: the default partitions must stay empty.
SELECT (SELECT count(*) FROM sessions_default) + (SELECT count(*) FROM session_feedback_default)
       + (SELECT count(*) FROM audio_files_default) AS n;
