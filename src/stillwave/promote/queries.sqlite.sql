-- name: rebuild!
INSERT INTO rebuild_neural_profile (user_id) VALUES (:user_id);
