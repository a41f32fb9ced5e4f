-- name: days_with_metric
SELECT id, date, metrics, notes, sleep_quality, stress_level, focus_score
FROM progress_tracking
WHERE user_id = :user_id AND date >= :first AND date <= :last
  AND EXISTS (SELECT 1 FROM json_each(progress_tracking.metrics) WHERE key = :metric)
ORDER BY date DESC;
