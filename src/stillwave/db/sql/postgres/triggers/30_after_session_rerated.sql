DROP TRIGGER IF EXISTS after_session_rerated ON sessions;
CREATE TRIGGER after_session_rerated
    AFTER UPDATE OF effectiveness_rating, target_frequency ON sessions
    FOR EACH ROW
    WHEN ((OLD.effectiveness_rating, OLD.target_frequency)
          IS DISTINCT FROM (NEW.effectiveness_rating, NEW.target_frequency))
    EXECUTE FUNCTION relearn_rerated_session();
