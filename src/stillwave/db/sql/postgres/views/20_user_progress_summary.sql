-- Each child table is aggregated before the join: joined first, their rows would multiply each other.
CREATE OR REPLACE VIEW user_progress_summary WITH (security_invoker = true) AS
SELECT users.id AS user_id,
       users.email,
       coalesce(heard.total_sessions, 0) AS total_sessions,
       heard.avg_effectiveness,
       diary.avg_sleep_quality,
       diary.avg_focus_score
FROM users
LEFT JOIN (
    SELECT user_id, count(*) AS total_sessions, avg(effectiveness_rating) AS avg_effectiveness
    FROM sessions
    GROUP BY user_id
) AS heard ON heard.user_id = users.id
LEFT JOIN (
    SELECT user_id, avg(sleep_quality) AS avg_sleep_quality, avg(focus_score) AS avg_focus_score
    FROM progress_tracking
    GROUP BY user_id
) AS diary ON diary.user_id = users.id;
