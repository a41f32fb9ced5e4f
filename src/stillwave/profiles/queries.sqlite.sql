-- name: profile_of
-- contraindications comes out as a JSON array on both engines, a range as its two ends. With it comes which safety
-- questions were answered last, and when.
SELECT base_frequency_response, optimal_transition_time, contraindications, sensitivity_level, adaptation_on,
       updated_at, wording_sha256, answered_at,
       delta_range_low AS delta_low_hz, delta_range_high AS delta_high_hz,
       theta_range_low AS theta_low_hz, theta_range_high AS theta_high_hz,
       alpha_range_low AS alpha_low_hz, alpha_range_high AS alpha_high_hz,
       gamma_range_low AS gamma_low_hz, gamma_range_high AS gamma_high_hz
FROM neural_profiles AS p
LEFT JOIN screenings AS s ON s.user_id = p.user_id AND s.id = (
    SELECT id FROM screenings WHERE user_id = :user_id ORDER BY answered_at DESC, id DESC LIMIT 1)
WHERE p.user_id = :user_id;

-- name: declare_contraindications!
-- What the person declared is replaced; red flags (`adverse:...`) stay.
UPDATE neural_profiles
SET contraindications = (
    SELECT json_group_array(value) FROM (
        SELECT value FROM json_each(:declared)
        UNION ALL
        SELECT value FROM json_each(neural_profiles.contraindications) WHERE value LIKE 'adverse:%'))
WHERE user_id = :user_id;

-- name: stick_flags!
UPDATE neural_profiles
SET contraindications = (
    SELECT json_group_array(value) FROM (
        SELECT value FROM json_each(neural_profiles.contraindications)
        UNION ALL
        SELECT value FROM (
            SELECT value FROM json_each(:flags)
            WHERE value NOT IN (SELECT value FROM json_each(neural_profiles.contraindications)) ORDER BY value)))
WHERE user_id = :user_id;

-- name: rebuild!
INSERT INTO rebuild_neural_profile (user_id) VALUES (:user_id);

-- name: pause_learning!
-- Changed sessions fire one by one: the profile is folded anew once, when the pause ends.
INSERT INTO learning_pause (user_id) VALUES (:user_id) ON CONFLICT DO NOTHING;

-- name: resume_learning!
DELETE FROM learning_pause WHERE user_id = :user_id;
