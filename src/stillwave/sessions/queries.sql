-- name: insert_session!
INSERT INTO sessions (user_id, id, start_time, session_type, initial_state, target_state, base_frequency,
                      target_frequency, volume_level, plan, programme, arm)
VALUES (:user_id, :id, :start_time, :session_type, :initial_state, :target_state, :base_frequency,
        :target_frequency, :volume_level, :plan, :programme, :arm);

-- name: session_by_id
-- The start time is inside the id: bound as well, it names the one partition to look in.
SELECT id, start_time, end_time, session_type, initial_state, target_state, effectiveness_rating,
       base_frequency, target_frequency, volume_level, position_s, plan, programme, arm, arm_revealed_at
FROM sessions WHERE user_id = :user_id AND id = :id AND start_time = :start_time;

-- name: set_position!
UPDATE sessions SET position_s = :position_s
WHERE user_id = :user_id AND id = :id AND start_time = :start_time;

-- name: end_session!
UPDATE sessions SET position_s = :position_s, end_time = COALESCE(end_time, :end_time)
WHERE user_id = :user_id AND id = :id AND start_time = :start_time;

-- name: page_of_sessions
-- Newest first, older than a given id; each with its latest rating. An empty `state` or `rated` leaves out nothing.
SELECT s.id, s.start_time, s.end_time, s.session_type, s.initial_state, s.target_state,
       s.effectiveness_rating, s.base_frequency, s.target_frequency, s.volume_level, s.position_s, s.plan,
       s.programme, s.arm, s.arm_revealed_at,
       (SELECT f.rating FROM session_feedback f
        WHERE f.user_id = s.user_id AND f.session_id = s.id AND f.session_start_time = s.start_time
        ORDER BY f.created_at DESC, f.id DESC LIMIT 1) AS rating,
       (SELECT count(*) FROM session_feedback f
        WHERE f.user_id = s.user_id AND f.session_id = s.id AND f.session_start_time = s.start_time) AS feedbacks
FROM sessions s
WHERE s.user_id = :user_id AND s.start_time <= :before_time AND s.id < :before_id
  AND (CAST(:state AS TEXT) = '' OR s.target_state = CAST(:state AS TEXT))
  AND (CAST(:rated AS TEXT) = '' OR (CAST(:rated AS TEXT) = 'yes') = EXISTS (
        SELECT 1 FROM session_feedback f
        WHERE f.user_id = s.user_id AND f.session_id = s.id AND f.session_start_time = s.start_time))
ORDER BY s.start_time DESC, s.id DESC
LIMIT :most;

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
