-- Only what the fold reads: sealing feedback_text anew does not refold.
DROP TRIGGER IF EXISTS after_feedback_edited ON session_feedback;
CREATE TRIGGER after_feedback_edited
    AFTER UPDATE OF rating, physical_effects, mental_effects, created_at, session_id, learns ON session_feedback
    FOR EACH ROW
    WHEN ((OLD.rating, OLD.physical_effects, OLD.mental_effects, OLD.created_at, OLD.session_id, OLD.learns)
          IS DISTINCT FROM
          (NEW.rating, NEW.physical_effects, NEW.mental_effects, NEW.created_at, NEW.session_id, NEW.learns))
    EXECUTE FUNCTION relearn_edited_feedback();

DROP TRIGGER IF EXISTS after_feedback_deleted ON session_feedback;
CREATE TRIGGER after_feedback_deleted
    AFTER DELETE ON session_feedback
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT
    EXECUTE FUNCTION relearn_deleted_feedback();
