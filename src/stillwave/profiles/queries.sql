-- name: insert_profile!
INSERT INTO neural_profiles (user_id, id, base_frequency_response, optimal_transition_time, sensitivity_level,
                             created_at, updated_at)
VALUES (:user_id, :id, :response, :transition_s, :sensitivity, :now, :now)
ON CONFLICT DO NOTHING;

-- name: set_adaptation!
UPDATE neural_profiles SET adaptation_on = :on WHERE user_id = :user_id;

-- name: answers
-- Everything that is learned from, in the order of the fold.
SELECT rating, effectiveness, hz, physical_effects, mental_effects, state_group FROM learning_feedback
WHERE user_id = :user_id ORDER BY created_at, id;

-- name: base
SELECT state FROM learning_base WHERE user_id = :user_id;

-- name: history_of
SELECT feedback_id, created_at, change FROM profile_history
WHERE user_id = :user_id ORDER BY created_at DESC, feedback_id DESC LIMIT :most;

-- name: change_of
SELECT feedback_id, created_at, change FROM profile_history
WHERE user_id = :user_id AND feedback_id = :feedback_id;

-- name: insert_screening!
INSERT INTO screenings (user_id, id, version, answered_at, answers, wording_sha256)
VALUES (:user_id, :id, :version, :now, :answers, :wording_sha256);

-- name: latest_screening
SELECT id, answers FROM screenings
WHERE user_id = :user_id ORDER BY answered_at DESC, id DESC LIMIT 1;

-- name: insert_clearance!
INSERT INTO clearances (user_id, id, statement, created_at) VALUES (:user_id, :id, :statement, :now);

-- name: clearances_of
SELECT id, statement, created_at, ended_at FROM clearances WHERE user_id = :user_id ORDER BY created_at, id;

-- name: end_clearance!
UPDATE clearances SET ended_at = :now WHERE user_id = :user_id AND id = :id AND ended_at IS NULL;

-- name: told_effects
-- Feedback whose effects name a key; a word inside a sealed note cannot.
SELECT id, created_at, physical_effects, mental_effects FROM session_feedback
WHERE user_id = :user_id
  AND (CAST(physical_effects AS text) LIKE :pattern OR CAST(mental_effects AS text) LIKE :pattern);

-- name: diary_of
SELECT date, sleep_quality, stress_level, metrics FROM progress_tracking
WHERE user_id = :user_id AND date BETWEEN :first AND :last;

-- name: heard_since
SELECT coalesce(sum(position_s), 0) AS seconds FROM sessions
WHERE user_id = :user_id AND id >= :first_id AND start_time >= :since AND start_time <= :now;

-- name: session_before
-- The latest session with a beat to this state that was heard.
SELECT id, start_time, plan FROM sessions
WHERE user_id = :user_id AND id >= :first_id AND start_time >= :since AND start_time <= :now AND target_state = :target_state
  AND target_frequency IS NOT NULL AND plan IS NOT NULL AND (end_time IS NOT NULL OR position_s > 0)
ORDER BY id DESC LIMIT 1;

-- name: latest_rating
-- (coalesce: in the plain order SQLite would go through all that the person ever rated.)
SELECT rating FROM session_feedback
WHERE user_id = :user_id AND session_id = :session_id AND session_start_time = :start_time
ORDER BY coalesce(created_at, session_start_time) DESC, id DESC LIMIT 1;

-- name: has_heard
SELECT count(*) AS n FROM (
    SELECT 1 AS one FROM sessions WHERE user_id = :user_id AND (end_time IS NOT NULL OR position_s > 0) LIMIT 1
) AS heard;

-- name: arms_dealt
-- By arm, since the person last looked: what they know of earlier ones tells nothing about the next.
SELECT arm, count(*) AS n FROM sessions s
WHERE user_id = :user_id AND arm IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sessions looked
                  WHERE looked.user_id = s.user_id AND looked.arm_revealed_at >= s.start_time)
GROUP BY arm;

-- name: compared
-- Once a person looked, the rating given before counts; later ones are not blind.
SELECT s.arm, s.arm_revealed_at, s.arm_rating,
       (SELECT f.rating FROM session_feedback f
        WHERE f.user_id = s.user_id AND f.session_id = s.id AND f.session_start_time = s.start_time
        ORDER BY coalesce(f.created_at, s.start_time) DESC, f.id DESC LIMIT 1) AS rating
FROM sessions s
WHERE s.user_id = :user_id AND s.arm IS NOT NULL;

-- name: reveal_all!
UPDATE sessions SET arm_revealed_at = :now, arm_rating = (
    SELECT f.rating FROM session_feedback f
    WHERE f.user_id = sessions.user_id AND f.session_id = sessions.id AND f.session_start_time = sessions.start_time
    ORDER BY coalesce(f.created_at, sessions.start_time) DESC, f.id DESC LIMIT 1)
WHERE user_id = :user_id AND arm IS NOT NULL AND arm_revealed_at IS NULL;

-- name: reveal_one!
UPDATE sessions SET arm_revealed_at = :now, arm_rating = (
    SELECT f.rating FROM session_feedback f
    WHERE f.user_id = sessions.user_id AND f.session_id = sessions.id AND f.session_start_time = :start_time
    ORDER BY coalesce(f.created_at, sessions.start_time) DESC, f.id DESC LIMIT 1)
WHERE user_id = :user_id AND id = :id AND start_time = :start_time AND arm IS NOT NULL AND arm_revealed_at IS NULL;
