-- Only what the fold reads: sealing feedback_text anew does not refold.
DROP TRIGGER IF EXISTS after_feedback_edited;
CREATE TRIGGER after_feedback_edited
AFTER UPDATE OF rating, physical_effects, mental_effects, created_at, session_id, learns ON session_feedback
WHEN (OLD.rating, OLD.physical_effects, OLD.mental_effects, OLD.created_at, OLD.session_id, OLD.learns)
     IS NOT (NEW.rating, NEW.physical_effects, NEW.mental_effects, NEW.created_at, NEW.session_id, NEW.learns)
BEGIN
    INSERT INTO stick_red_flags (user_id, feedback_id)
    SELECT user_id, NEW.id FROM learning_person WHERE user_id = NEW.user_id AND NEW.learns = 1;
    INSERT INTO rebuild_neural_profile (user_id, since) VALUES (NEW.user_id, min(OLD.created_at, NEW.created_at));
END;

DROP TRIGGER IF EXISTS after_feedback_deleted;
CREATE TRIGGER after_feedback_deleted AFTER DELETE ON session_feedback
WHEN OLD.learns = 1
BEGIN
    INSERT INTO rebuild_neural_profile (user_id, since) VALUES (OLD.user_id, OLD.created_at);
END;
