-- name: rate_first!
-- Of a session without an answer. Also locks its row, so that two answers at once cannot both find it unanswered.
UPDATE sessions SET effectiveness_rating = :effectiveness, side_effects = :side_effects,
    end_time = COALESCE(end_time, :now)
WHERE user_id = :user_id AND id = :session_id AND start_time = :start_time
  AND NOT EXISTS (SELECT 1 FROM session_feedback
                  WHERE user_id = :user_id AND session_id = :session_id AND session_start_time = :start_time);

-- name: rate_session!
UPDATE sessions SET effectiveness_rating = :effectiveness, side_effects = :side_effects,
    end_time = COALESCE(end_time, :now)
WHERE user_id = :user_id AND id = :session_id AND start_time = :start_time;

-- name: unrate_session!
UPDATE sessions SET effectiveness_rating = NULL, side_effects = NULL, arm_rating = NULL
WHERE user_id = :user_id AND id = :session_id AND start_time = :start_time;

-- name: feedback_of
-- (coalesce: in the plain order SQLite would go through all that the person ever rated.)
SELECT id, session_id, rating, feedback_text, physical_effects, mental_effects, created_at
FROM session_feedback
WHERE user_id = :user_id AND session_id = :session_id AND session_start_time = :start_time
ORDER BY coalesce(created_at, session_start_time) DESC, id DESC LIMIT 1;

-- name: insert_feedback
INSERT INTO session_feedback (user_id, id, session_id, session_start_time, rating, feedback_text,
                              physical_effects, mental_effects, created_at)
VALUES (:user_id, :id, :session_id, :start_time, :rating, :feedback_text, :physical_effects,
        :mental_effects, :now)
RETURNING id, session_id, rating, feedback_text, physical_effects, mental_effects, created_at;

-- name: replace_feedback!
UPDATE session_feedback SET rating = :rating, feedback_text = :feedback_text,
    physical_effects = :physical_effects, mental_effects = :mental_effects
WHERE user_id = :user_id AND id = :id AND session_start_time = :start_time;

-- name: delete_feedback!
DELETE FROM session_feedback
WHERE user_id = :user_id AND session_id = :session_id AND session_start_time = :start_time;
