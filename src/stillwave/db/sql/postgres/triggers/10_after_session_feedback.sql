DROP TRIGGER IF EXISTS after_session_feedback ON session_feedback;
CREATE TRIGGER after_session_feedback
    AFTER INSERT ON session_feedback
    FOR EACH ROW
    EXECUTE FUNCTION update_neural_profile();
