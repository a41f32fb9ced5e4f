-- INSERT INTO rebuild_neural_profile (user_id) VALUES (...): afterwards the profile equals the fold over the
-- person's feedback in the order (created_at, id), and profile_history holds one row for each.
-- Contraindications stay: a red flag leaves only when it is cleared. Nothing happens to a person who is erased,
-- disabled, restricted or has adaptation switched off, nor while learning_pause holds the person.
DROP VIEW IF EXISTS rebuild_neural_profile;
CREATE VIEW rebuild_neural_profile AS SELECT user_id FROM neural_profiles WHERE false;

CREATE TRIGGER rebuild_neural_profile_fold INSTEAD OF INSERT ON rebuild_neural_profile
WHEN NEW.user_id IN (SELECT user_id FROM learning_person) AND NEW.user_id NOT IN (SELECT user_id FROM learning_pause)
BEGIN
    INSERT INTO start_neural_profile (user_id) VALUES (NEW.user_id);
    UPDATE neural_profiles
    SET base_frequency_response = '{"v":1,"n":0,"sens":5.0,"trans":240.0,"vol":45.0,"nt":0,"bands":{}}',
        optimal_transition_time = 240, sensitivity_level = 5, updated_at = created_at,
        delta_range_low = NULL, delta_range_high = NULL, theta_range_low = NULL, theta_range_high = NULL,
        alpha_range_low = NULL, alpha_range_high = NULL, gamma_range_low = NULL, gamma_range_high = NULL
    WHERE user_id = NEW.user_id;
    DELETE FROM profile_history WHERE user_id = NEW.user_id;
    INSERT INTO learning_step SELECT * FROM learning_feedback WHERE user_id = NEW.user_id ORDER BY created_at, id;
END;

-- Makes a missing profile. Its state is NULL, so that the fold which follows is a rebuild: there may be earlier
-- feedback. It carries the red flags of that feedback, for those stick.
DROP VIEW IF EXISTS start_neural_profile;
CREATE VIEW start_neural_profile AS SELECT user_id FROM neural_profiles WHERE false;

CREATE TRIGGER start_neural_profile_row INSTEAD OF INSERT ON start_neural_profile
WHEN NEW.user_id NOT IN (SELECT user_id FROM neural_profiles)
BEGIN
    INSERT INTO neural_profiles (user_id, optimal_transition_time, sensitivity_level, contraindications)
    SELECT NEW.user_id, 240, 5,
           (SELECT json_group_array('adverse:' || effect)
            FROM (SELECT DISTINCT effect FROM learning_feedback AS feedback
                  JOIN learning_effect AS said ON said.user_id = feedback.user_id AND said.feedback_id = feedback.id
                  WHERE feedback.user_id = NEW.user_id AND kind = 'red_flag' AND severity > 0
                  ORDER BY effect));
END;

-- Adds the red flags of a feedback to the contraindications, each once.
DROP VIEW IF EXISTS stick_red_flags;
CREATE VIEW stick_red_flags AS SELECT user_id, id AS feedback_id FROM session_feedback WHERE false;

CREATE TRIGGER stick_red_flags_row INSTEAD OF INSERT ON stick_red_flags
WHEN EXISTS (SELECT 1 FROM learning_effect
             WHERE user_id = NEW.user_id AND feedback_id = NEW.feedback_id AND kind = 'red_flag' AND severity > 0)
BEGIN
    UPDATE neural_profiles
    SET contraindications = (
        SELECT json_group_array(value)
        FROM (SELECT value FROM (SELECT key, value FROM json_each(neural_profiles.contraindications) ORDER BY key)
              UNION ALL
              SELECT * FROM (
                  SELECT DISTINCT 'adverse:' || effect FROM learning_effect
                  WHERE user_id = NEW.user_id AND feedback_id = NEW.feedback_id AND kind = 'red_flag' AND severity > 0
                    AND 'adverse:' || effect NOT IN (SELECT value FROM json_each(neural_profiles.contraindications))
                  ORDER BY 1)))
    WHERE user_id = NEW.user_id;
END;
