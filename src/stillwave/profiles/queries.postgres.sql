-- name: profile_of
-- contraindications comes out as a JSON array on both engines, a range as its two ends. With it comes which safety
-- questions were answered last, and when.
SELECT base_frequency_response, optimal_transition_time, to_json(contraindications) AS contraindications,
       sensitivity_level, adaptation_on, updated_at, wording_sha256, answered_at,
       lower(delta_range) AS delta_low_hz, upper(delta_range) AS delta_high_hz,
       lower(theta_range) AS theta_low_hz, upper(theta_range) AS theta_high_hz,
       lower(alpha_range) AS alpha_low_hz, upper(alpha_range) AS alpha_high_hz,
       lower(gamma_range) AS gamma_low_hz, upper(gamma_range) AS gamma_high_hz
FROM neural_profiles AS p
LEFT JOIN screenings AS s ON s.user_id = p.user_id AND s.id = (
    SELECT id FROM screenings WHERE user_id = :user_id ORDER BY answered_at DESC, id DESC LIMIT 1)
WHERE p.user_id = :user_id;

-- name: declare_contraindications!
-- What the person declared is replaced; red flags (`adverse:...`) stay.
UPDATE neural_profiles
SET contraindications = ARRAY(SELECT json_array_elements_text(CAST(:declared AS json)))
    || ARRAY(SELECT flag FROM unnest(contraindications) AS flag WHERE starts_with(flag, 'adverse:'))
WHERE user_id = :user_id;

-- name: stick_flags!
UPDATE neural_profiles
SET contraindications = contraindications || ARRAY(
    SELECT flag FROM json_array_elements_text(CAST(:flags AS json)) AS flag
    WHERE flag <> ALL (contraindications) ORDER BY flag)
WHERE user_id = :user_id;

-- name: rebuild!
SELECT rebuild_neural_profile(CAST(:user_id AS uuid));

-- name: pause_learning!
-- Nothing to do: each fold goes on from the nearest checkpoint.
SELECT 1 WHERE CAST(:user_id AS uuid) IS NULL;

-- name: resume_learning!
SELECT 1 WHERE CAST(:user_id AS uuid) IS NULL;
