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
INSERT INTO screenings (user_id, id, version, answered_at, answers)
VALUES (:user_id, :id, :version, :now, :answers);

-- name: latest_screening
SELECT id, version, answered_at, answers FROM screenings
WHERE user_id = :user_id ORDER BY answered_at DESC, id DESC LIMIT 1;
