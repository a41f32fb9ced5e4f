DROP TRIGGER IF EXISTS after_session_rerated;
CREATE TRIGGER after_session_rerated AFTER UPDATE OF effectiveness_rating, target_frequency ON sessions
WHEN (OLD.effectiveness_rating, OLD.target_frequency) IS NOT (NEW.effectiveness_rating, NEW.target_frequency)
BEGIN
    INSERT INTO rebuild_neural_profile (user_id)
    SELECT NEW.user_id
    WHERE EXISTS (SELECT 1 FROM session_feedback
                  WHERE user_id = NEW.user_id AND session_id = NEW.id AND session_start_time = NEW.start_time
                    AND learns = 1);
END;
