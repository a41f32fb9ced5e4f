-- Not an object, but what follows from them: profiles that an earlier version folded, or that cannot be read, are folded
-- anew where learning is allowed.
SELECT rebuild_neural_profile(user_id) FROM neural_profiles WHERE NOT learning_readable(base_frequency_response);
