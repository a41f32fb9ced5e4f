DROP TRIGGER IF EXISTS after_session_rerated ON sessions;
CREATE TRIGGER after_session_rerated
    AFTER UPDATE OF effectiveness_rating, target_frequency, target_state ON sessions
    FOR EACH ROW
    WHEN ((OLD.effectiveness_rating, OLD.target_frequency, OLD.target_state)
          IS DISTINCT FROM (NEW.effectiveness_rating, NEW.target_frequency, NEW.target_state))
    EXECUTE FUNCTION relearn_rerated_session();
