-- One aggregate per child and person: children joined to each other would multiply.
DROP VIEW IF EXISTS user_progress_summary;
CREATE VIEW user_progress_summary AS
SELECT id AS user_id,
       email,
       (SELECT count(*) FROM sessions WHERE user_id = users.id) AS total_sessions,
       (SELECT avg(effectiveness_rating) FROM sessions WHERE user_id = users.id) AS avg_effectiveness,
       (SELECT avg(sleep_quality) FROM progress_tracking WHERE user_id = users.id) AS avg_sleep_quality,
       (SELECT avg(focus_score) FROM progress_tracking WHERE user_id = users.id) AS avg_focus_score
FROM users;
