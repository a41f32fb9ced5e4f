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
WHEN OLD.keep_before IS NULL
BEGIN
    INSERT INTO rebuild_neural_profile (user_id) SELECT user_id FROM neural_profiles WHERE user_id = OLD.user_id;
END;

-- Before retention removes sessions that began before keep_before, the base is folded on over their feedback, so that
-- what was learned from them stays. The profile is left as it is. Their rows of profile_history go, and the
-- checkpoints, which were folded from another base.
DROP TRIGGER IF EXISTS keep_learned;
CREATE TRIGGER keep_learned AFTER INSERT ON learning_pause
WHEN NEW.keep_before IS NOT NULL
 AND EXISTS (SELECT 1 FROM learning_feedback WHERE user_id = NEW.user_id AND session_start_time < NEW.keep_before)
BEGIN
    DELETE FROM learning_checkpoint WHERE user_id = NEW.user_id;
    INSERT INTO learning_fold (user_id, state, folded_at, folded_id)
    SELECT user_id, state, folded_at, folded_id FROM learning_origin WHERE user_id = NEW.user_id;
    DELETE FROM profile_history
    WHERE user_id = NEW.user_id
      AND feedback_id IN (SELECT id FROM session_feedback
                          WHERE user_id = NEW.user_id AND session_start_time < NEW.keep_before);
    INSERT INTO learning_step
    SELECT * FROM learning_feedback
    WHERE user_id = NEW.user_id AND session_start_time < NEW.keep_before ORDER BY created_at, id;
    INSERT INTO learning_base (user_id, created_at, state)
    SELECT user_id, moved_at, state FROM learning_fold WHERE user_id = NEW.user_id
    ON CONFLICT (user_id) DO UPDATE SET created_at = excluded.created_at, state = excluded.state;
    DELETE FROM learning_fold WHERE user_id = NEW.user_id;
    DELETE FROM profile_history
    WHERE user_id = NEW.user_id
      AND feedback_id IN (SELECT id FROM session_feedback
                          WHERE user_id = NEW.user_id AND session_start_time < NEW.keep_before);
    DELETE FROM learning_checkpoint WHERE user_id = NEW.user_id;
END;
