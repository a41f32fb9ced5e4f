-- The profile learns from a new feedback. (EXISTS about this person, here and in what it calls: IN would go through everybody.)
DROP TRIGGER IF EXISTS after_session_feedback;
CREATE TRIGGER after_session_feedback AFTER INSERT ON session_feedback
WHEN NEW.learns = 1
BEGIN
    -- Given while learning is off for this person: kept, and never learned from later.
    UPDATE session_feedback SET learns = 0
    WHERE user_id = NEW.user_id AND id = NEW.id AND session_start_time = NEW.session_start_time
      AND NOT EXISTS (SELECT 1 FROM learning_person WHERE user_id = NEW.user_id);

    INSERT INTO start_neural_profile (user_id)
    SELECT user_id FROM learning_person WHERE user_id = NEW.user_id;
    INSERT INTO stick_red_flags (user_id, feedback_id)
    SELECT user_id, NEW.id FROM learning_person WHERE user_id = NEW.user_id;

    -- Folded at once, unless something newer is folded already or the state cannot be read ...
    INSERT INTO learning_fold (user_id, state, folded_at, folded_id)
    SELECT user_id, base_frequency_response, '', ''
    FROM neural_profiles
    WHERE user_id = NEW.user_id
      AND EXISTS (SELECT 1 FROM learning_person WHERE user_id = NEW.user_id)
      AND EXISTS (SELECT 1 FROM learning_readable WHERE user_id = NEW.user_id)
      AND NOT EXISTS (SELECT 1 FROM profile_history
                      WHERE user_id = NEW.user_id AND created_at >= NEW.created_at
                        AND (created_at, feedback_id) > (NEW.created_at, NEW.id));
    INSERT INTO learning_step
    SELECT feedback.*
    FROM learning_fold AS fold
    CROSS JOIN learning_feedback AS feedback ON feedback.user_id = fold.user_id
    WHERE fold.user_id = NEW.user_id AND feedback.id = NEW.id
      AND feedback.session_start_time = NEW.session_start_time;
    INSERT INTO store_neural_profile (user_id, band) SELECT user_id, touched FROM learning_fold WHERE user_id = NEW.user_id;
    DELETE FROM learning_fold WHERE user_id = NEW.user_id;
    -- ... then it is folded anew from there, or from the beginning.
    INSERT INTO rebuild_neural_profile (user_id, since)
    SELECT NEW.user_id,
           (SELECT NEW.created_at FROM learning_readable WHERE user_id = NEW.user_id)
    WHERE NOT EXISTS (SELECT 1 FROM profile_history WHERE user_id = NEW.user_id AND feedback_id = NEW.id);
END;
