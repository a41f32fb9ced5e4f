-- name: page_of_sessions
-- Newest first, older than a given id; each with its latest rating. An empty `state` or `rated` leaves out nothing.
-- By id, which holds the start time: each month's key gives its rows in that order, so no more is read than is shown.
-- Feedback is looked up beside the sessions and not in the columns: there each month would get a plan over all months.
SELECT s.id, s.start_time, s.end_time, s.session_type, s.initial_state, s.target_state,
       s.effectiveness_rating, s.base_frequency, s.target_frequency, s.volume_level, s.position_s, s.plan,
       s.programme, s.arm, s.arm_revealed_at, told.rating, told.feedbacks
FROM sessions s
CROSS JOIN LATERAL (
    SELECT (array_agg(f.rating ORDER BY f.created_at DESC, f.id DESC))[1] AS rating, count(*) AS feedbacks
    FROM session_feedback f
    WHERE f.user_id = s.user_id AND f.session_id = s.id AND f.session_start_time = s.start_time
      AND f.session_start_time >= :since AND f.session_start_time <= :until  -- opens these months only
) AS told
WHERE s.user_id = :user_id AND s.start_time >= :since AND s.start_time <= :until
  AND s.id < :before_id
  AND (CAST(:state AS TEXT) = '' OR s.target_state = CAST(:state AS TEXT))
  AND (CAST(:rated AS TEXT) = '' OR (CAST(:rated AS TEXT) = 'yes') = (told.feedbacks > 0))
ORDER BY s.id DESC
LIMIT :most;
