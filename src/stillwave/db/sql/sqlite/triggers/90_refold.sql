-- Not an object, but what follows from them: profiles that an earlier version folded, or that cannot be read, are folded
-- anew where learning is allowed.
INSERT INTO rebuild_neural_profile (user_id)
SELECT user_id FROM neural_profiles
WHERE base_frequency_response IS NOT NULL AND user_id NOT IN (SELECT user_id FROM learning_readable);
