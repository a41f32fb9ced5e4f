-- What was edited or deleted while learning was off, or paused, is caught up with when it is on again.
DROP TRIGGER IF EXISTS after_adaptation_switched_on;
CREATE TRIGGER after_adaptation_switched_on AFTER UPDATE OF adaptation_on ON neural_profiles
WHEN NEW.adaptation_on = 1 AND OLD.adaptation_on = 0
BEGIN
    INSERT INTO rebuild_neural_profile (user_id) VALUES (NEW.user_id);
END;

DROP TRIGGER IF EXISTS after_processing_allowed;
CREATE TRIGGER after_processing_allowed AFTER UPDATE OF processing_restricted, account_status ON users
WHEN (OLD.processing_restricted = 1 OR OLD.account_status = 'disabled')
     AND NEW.processing_restricted = 0 AND NEW.account_status <> 'disabled'
BEGIN
    INSERT INTO rebuild_neural_profile (user_id) SELECT user_id FROM neural_profiles WHERE user_id = NEW.id;
END;

DROP TRIGGER IF EXISTS after_learning_pause;
CREATE TRIGGER after_learning_pause AFTER DELETE ON learning_pause
BEGIN
    INSERT INTO rebuild_neural_profile (user_id) SELECT user_id FROM neural_profiles WHERE user_id = OLD.user_id;
END;
