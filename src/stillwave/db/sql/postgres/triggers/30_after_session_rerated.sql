DROP TRIGGER IF EXISTS after_session_rerated ON sessions;
CREATE TRIGGER after_session_rerated
    AFTER UPDATE OF effectiveness_rating, target_frequency, target_state, arm, arm_revealed_at ON sessions
    FOR EACH ROW
    WHEN ((OLD.effectiveness_rating, OLD.target_frequency, OLD.target_state, OLD.arm, OLD.arm_revealed_at)
          IS DISTINCT FROM
          (NEW.effectiveness_rating, NEW.target_frequency, NEW.target_state, NEW.arm, NEW.arm_revealed_at))
    EXECUTE FUNCTION relearn_rerated_session();
