-- name: rebuild!
SELECT rebuild_neural_profile(:user_id);
