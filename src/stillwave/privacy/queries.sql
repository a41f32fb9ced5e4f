-- name: ask_erasure!
INSERT INTO erasures (user_id, asked_at, final_at, restricted_before)
VALUES (:user_id, :now, :final_at, :restricted_before) ON CONFLICT DO NOTHING;

-- name: erasure_of
SELECT asked_at, final_at, restricted_before FROM erasures WHERE user_id = :user_id;

-- name: undo_erasure!
DELETE FROM erasures WHERE user_id = :user_id AND final_at > :now;
