DROP TRIGGER IF EXISTS after_session_rerated;
CREATE TRIGGER after_session_rerated
AFTER UPDATE OF effectiveness_rating, target_frequency, target_state, arm, arm_revealed_at ON sessions
WHEN (OLD.effectiveness_rating, OLD.target_frequency, OLD.target_state, OLD.arm, OLD.arm_revealed_at)
     IS NOT (NEW.effectiveness_rating, NEW.target_frequency, NEW.target_state, NEW.arm, NEW.arm_revealed_at)
BEGIN
    INSERT INTO rebuild_neural_profile (user_id, since)
    SELECT user_id, min(created_at) FROM session_feedback
    WHERE user_id = NEW.user_id AND session_id = NEW.id AND session_start_time = NEW.start_time AND learns = 1
    GROUP BY user_id;
END;
