-- name: rebuild!
SELECT rebuild_neural_profile(:user_id);

-- name: histories
-- As texts: a driver's objects for ids and times cost more than the fold.
-- What the people between two ids taught, in the order in which it is folded; `more`: effects, or a state that was wanted.
SELECT user_id::text, id::text, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
       rating, effectiveness, hz,
       physical_effects IS NOT NULL OR mental_effects IS NOT NULL OR state_group IS NOT NULL AS more,
       CAST(physical_effects AS text) AS physical, CAST(mental_effects AS text) AS mental
FROM learning_feedback WHERE user_id > :after AND user_id <= :upto
ORDER BY learning_feedback.user_id, learning_feedback.created_at, learning_feedback.id;
