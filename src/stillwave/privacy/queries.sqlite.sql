-- name: count_erasures
SELECT count(*) AS n FROM erasures;

-- name: due_erasures
SELECT user_id FROM erasures WHERE final_at <= :now ORDER BY final_at LIMIT :most;
