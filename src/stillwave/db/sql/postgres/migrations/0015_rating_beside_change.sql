-- As learning_step() writes it from now on: only where there was a rating. Where one role does everything, the house has
-- to be entered to see everybody's rows.
SELECT set_config('stillwave.user_id', '*', true);
UPDATE profile_history
SET change = change || jsonb_build_object('rating', feedback.rating)
FROM session_feedback AS feedback
WHERE feedback.user_id = profile_history.user_id AND feedback.id = profile_history.feedback_id AND feedback.rating IS NOT NULL
  AND jsonb_typeof(change) = 'object';
SELECT set_config('stillwave.user_id', '', true);
