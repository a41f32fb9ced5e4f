-- As learning_step writes it from now on: at the end, and only where there was a rating.
UPDATE profile_history
SET change = json_set(change, '$.rating', feedback.rating)
FROM session_feedback AS feedback
WHERE feedback.user_id = profile_history.user_id AND feedback.id = profile_history.feedback_id AND feedback.rating IS NOT NULL
  AND json_type(change) = 'object';
