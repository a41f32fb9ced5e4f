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
WHERE s.user_id = :user_id AND s.start_time >= :since AND s.start_time <= :until
  AND s.id < :before_id
  AND (CAST(:state AS TEXT) = '' OR s.target_state = CAST(:state AS TEXT))
  AND (CAST(:rated AS TEXT) = '' OR (CAST(:rated AS TEXT) = 'yes') = EXISTS (
        SELECT 1 FROM session_feedback f
        WHERE f.user_id = s.user_id AND f.session_id = s.id AND f.session_start_time = s.start_time))
ORDER BY s.id DESC  -- a session's start time is in its id
LIMIT :most;
