-- As learning_step() writes it from now on: only where there was a rating. The house asks, so everybody's rows are seen.
UPDATE profile_history
SET change = change || jsonb_build_object('rating', feedback.rating)
FROM session_feedback AS feedback
WHERE feedback.user_id = profile_history.user_id AND feedback.id = profile_history.feedback_id AND feedback.rating IS NOT NULL
  AND jsonb_typeof(change) = 'object';
