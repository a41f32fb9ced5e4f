-- name: rebuild!
INSERT INTO rebuild_neural_profile (user_id) VALUES (:user_id);

-- name: histories
-- What the people between two ids taught, in the order in which it is folded; `more`: effects, or a state that was wanted.
SELECT user_id, id, created_at, rating, effectiveness, hz,
       physical_effects IS NOT NULL OR mental_effects IS NOT NULL OR state_group IS NOT NULL AS more,
       CAST(physical_effects AS text) AS physical, CAST(mental_effects AS text) AS mental
FROM learning_feedback WHERE user_id > :after AND user_id <= :upto ORDER BY user_id, created_at, id;
