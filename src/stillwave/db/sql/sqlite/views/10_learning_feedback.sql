-- Every feedback that teaches, with what its session tells: the one place that says what is folded.
-- Sessions of the comparison ("Does it work for me?") have no frequency here: without the beat there is nothing to
-- learn from, ever; with it, not before the person looked. Else the next plan would tell which of the two it was.
DROP VIEW IF EXISTS learning_feedback;
CREATE VIEW learning_feedback AS
SELECT feedback.user_id,
       feedback.id,
       feedback.session_start_time,
       feedback.created_at,
       feedback.rating,
       sessions.effectiveness_rating AS effectiveness,
       CASE WHEN sessions.arm IS NULL OR (sessions.arm = 'beat' AND sessions.arm_revealed_at IS NOT NULL)
            THEN sessions.target_frequency END AS hz,
       feedback.physical_effects,
       feedback.mental_effects,
       (SELECT state_group FROM learning_group WHERE learning_group.target_state = sessions.target_state)
           AS state_group
FROM session_feedback AS feedback
CROSS JOIN sessions ON sessions.user_id = feedback.user_id
                   AND sessions.id = feedback.session_id
                   AND sessions.start_time = feedback.session_start_time
WHERE feedback.learns = 1;
