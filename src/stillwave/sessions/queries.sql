-- name: insert_session
INSERT INTO sessions (user_id, id, start_time, session_type, initial_state, target_state, base_frequency,
                      target_frequency, volume_level, plan, programme, arm)
VALUES (:user_id, :id, :start_time, :session_type, :initial_state, :target_state, :base_frequency,
        :target_frequency, :volume_level, :plan, :programme, :arm)
RETURNING id, start_time, end_time, session_type, initial_state, target_state, effectiveness_rating,
          base_frequency, target_frequency, volume_level, position_s, plan, programme, arm, arm_revealed_at;

-- name: session_by_id
-- The start time is inside the id: bound as well, it names the one partition to look in.
SELECT id, start_time, end_time, session_type, initial_state, target_state, effectiveness_rating,
       base_frequency, target_frequency, volume_level, position_s, plan, programme, arm, arm_revealed_at
FROM sessions WHERE user_id = :user_id AND id = :id AND start_time = :start_time;

-- name: page_of_sessions
-- Newest first, older than a given id, which holds the start time: each month's key gives its rows in that order, so no
-- more is read than is shown. An empty `state` leaves out nothing.
SELECT id, start_time, end_time, session_type, initial_state, target_state, effectiveness_rating,
       base_frequency, target_frequency, volume_level, position_s, plan, programme, arm, arm_revealed_at
FROM sessions
WHERE user_id = :user_id AND start_time >= :since AND start_time <= :until AND id < :before_id
  AND (CAST(:state AS TEXT) = '' OR target_state = CAST(:state AS TEXT))
ORDER BY id DESC
LIMIT :most;

-- name: ratings_between
-- Of all sessions of a page at once. Beside them in one query, each month would get a plan over all months.
SELECT session_id, rating FROM session_feedback
WHERE user_id = :user_id AND session_id >= :oldest AND session_id <= :newest
  AND session_start_time >= :since AND session_start_time <= :until
ORDER BY created_at, id;

-- name: set_position!
-- Who heard it to the end and plays it again has not heard less of it.
UPDATE sessions SET position_s = CASE WHEN end_time IS NULL OR position_s < :position_s THEN :position_s ELSE position_s END
WHERE user_id = :user_id AND id = :id AND start_time = :start_time;

-- name: end_session!
UPDATE sessions SET position_s = CASE WHEN end_time IS NULL OR position_s < :position_s THEN :position_s ELSE position_s END, end_time = COALESCE(end_time, :end_time)
WHERE user_id = :user_id AND id = :id AND start_time = :start_time;

-- name: insert_audio!
INSERT INTO audio_files (user_id, id, session_id, session_start_time, file_path, duration, format, created_at)
VALUES (:user_id, :id, :session_id, :start_time, :file_path, :duration, 'flac', :now);

-- name: audio_of
SELECT id, file_path, duration, size_bytes, frequency_data FROM audio_files
WHERE user_id = :user_id AND session_id = :session_id AND session_start_time = :start_time
ORDER BY created_at, id LIMIT 1;

-- name: set_measured!
UPDATE audio_files SET frequency_data = :frequency_data
WHERE user_id = :user_id AND id = :id AND session_start_time = :start_time;

-- name: set_size!
UPDATE audio_files SET size_bytes = :size_bytes
WHERE user_id = :user_id AND id = :id AND session_start_time = :start_time;

-- name: file_names
SELECT file_path FROM audio_files;

-- name: unlinkable
SELECT user_id, id, file_path FROM unlink_outbox ORDER BY user_id, id LIMIT 500;

-- name: unlinked!
DELETE FROM unlink_outbox WHERE user_id = :user_id AND id = :id;

-- name: is_named
SELECT EXISTS (SELECT 1 FROM audio_files WHERE file_path = :file_path) AS named;
