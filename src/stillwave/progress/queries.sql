-- name: keep_day!
-- The id goes with the row's content: the notes are sealed to it.
INSERT INTO progress_tracking (user_id, id, date, metrics, notes, sleep_quality, stress_level, focus_score)
VALUES (:user_id, :id, :date, :metrics, :notes, :sleep_quality, :stress_level, :focus_score)
ON CONFLICT (user_id, date) DO UPDATE SET id = excluded.id, metrics = excluded.metrics, notes = excluded.notes,
    sleep_quality = excluded.sleep_quality, stress_level = excluded.stress_level,
    focus_score = excluded.focus_score;

-- name: delete_day!
DELETE FROM progress_tracking WHERE user_id = :user_id AND date = :date;

-- name: days
SELECT id, date, metrics, notes, sleep_quality, stress_level, focus_score
FROM progress_tracking
WHERE user_id = :user_id AND date >= :first AND date <= :last
ORDER BY date DESC;

-- name: summary
SELECT total_sessions, avg_effectiveness, avg_sleep_quality, avg_focus_score
FROM user_progress_summary WHERE user_id = :user_id;

-- name: effects
-- What people said of sessions to each state: how close they came to it, 1 to 10.
SELECT target_state, avg(CAST(effectiveness_rating AS DOUBLE PRECISION)) AS mean, count(*) AS times
FROM sessions
WHERE user_id = :user_id AND start_time >= :since AND effectiveness_rating IS NOT NULL AND target_state IS NOT NULL
GROUP BY target_state ORDER BY mean DESC, target_state;

-- name: listened
SELECT count(*) AS sessions, coalesce(sum(position_s), 0) AS seconds FROM sessions
WHERE user_id = :user_id AND id >= :first_id AND start_time >= :first AND start_time < :end;

-- name: session_times
SELECT start_time FROM sessions
WHERE user_id = :user_id AND id >= :first_id AND start_time >= :since AND start_time <= :now ORDER BY start_time;

-- name: played
-- How far each session was heard, and how loud it was set.
SELECT volume_level, position_s FROM sessions
WHERE user_id = :user_id AND id >= :first_id AND start_time >= :since AND start_time <= :now AND position_s > 0
    AND volume_level IS NOT NULL;
