DROP TRIGGER IF EXISTS after_adaptation_switched_on ON neural_profiles;
CREATE TRIGGER after_adaptation_switched_on
    AFTER UPDATE OF adaptation_on ON neural_profiles
    FOR EACH ROW
    WHEN (NEW.adaptation_on AND NOT OLD.adaptation_on)
    EXECUTE FUNCTION relearn_switched_on();

DROP TRIGGER IF EXISTS after_processing_allowed ON users;
CREATE TRIGGER after_processing_allowed
    AFTER UPDATE OF processing_restricted, account_status ON users
    FOR EACH ROW
    WHEN ((OLD.processing_restricted OR OLD.account_status = 'disabled')
          AND NOT NEW.processing_restricted AND NEW.account_status <> 'disabled')
    EXECUTE FUNCTION relearn_processing_allowed();
