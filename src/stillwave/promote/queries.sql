-- name: step_of
SELECT position, done, counts, digest, started_at FROM promotion_steps WHERE source = :source AND step = :step;

-- name: steps_of
SELECT step, position, done, counts, digest, started_at FROM promotion_steps WHERE source = :source ORDER BY step;

-- name: save_step!
INSERT INTO promotion_steps (source, step, position, done, counts, digest, started_at, updated_at)
VALUES (:source, :step, :position, :done, :counts, :digest, :now, :now)
ON CONFLICT (source, step) DO UPDATE SET position = excluded.position, done = excluded.done, counts = excluded.counts,
    digest = excluded.digest, updated_at = excluded.updated_at;

-- name: anybody
SELECT count(*) AS n FROM (SELECT 1 FROM users LIMIT 1) AS one;

-- name: person_of_index
SELECT id FROM users WHERE email_index = :email_index;

-- name: phone_of_another
SELECT count(*) AS n FROM users WHERE phone_index = :phone_index AND id <> :user_id;

-- name: people_after
-- People in the order of their ids; who has a profile, and whose profile may learn.
SELECT users.id, profile.id IS NOT NULL AS known,
       users.account_status <> 'disabled' AND NOT users.processing_restricted AS allowed
FROM users LEFT JOIN neural_profiles AS profile ON profile.user_id = users.id
WHERE users.id > :after ORDER BY users.id LIMIT :most;

-- name: behind
-- People between two ids whose profile has not learned from all they said.
SELECT DISTINCT feedback.user_id AS id
FROM learning_feedback AS feedback
LEFT JOIN profile_history AS learned ON learned.user_id = feedback.user_id AND learned.feedback_id = feedback.id
WHERE feedback.user_id > :after AND feedback.user_id <= :upto AND learned.user_id IS NULL;

-- name: rejected_of
SELECT source_key FROM promotion_rejects WHERE source_table = :source_table AND outcome = 'rejected';

-- name: profile_of
SELECT base_frequency_response, optimal_transition_time, sensitivity_level FROM neural_profiles WHERE user_id = :user_id;

-- name: mac_of_event
SELECT mac FROM audit_events WHERE user_id = :user_id AND seq = :seq;
