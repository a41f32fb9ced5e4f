-- INSERT INTO rebuild_neural_profile (user_id) VALUES (...): afterwards the profile equals the fold over the
-- person's feedback in the order (created_at, id), begun at the base that retention kept; profile_history holds one
-- row for each. With `since`, nothing before that moment has changed.
-- Contraindications stay: a red flag leaves only when it is cleared. Nothing happens to a person who is erased,
-- disabled, restricted or has adaptation switched off, nor while learning_pause holds the person.
DROP VIEW IF EXISTS rebuild_neural_profile;
CREATE VIEW rebuild_neural_profile AS SELECT user_id, updated_at AS since FROM neural_profiles WHERE false;

CREATE TRIGGER rebuild_neural_profile_fold INSTEAD OF INSERT ON rebuild_neural_profile
WHEN EXISTS (SELECT 1 FROM learning_person WHERE user_id = NEW.user_id)
 AND NOT EXISTS (SELECT 1 FROM learning_pause WHERE user_id = NEW.user_id)
BEGIN
    INSERT INTO start_neural_profile (user_id) VALUES (NEW.user_id);
    INSERT INTO learning_fold (user_id, state, folded_at, folded_id)
    SELECT user_id, state, created_at, feedback_id FROM learning_checkpoint
    WHERE user_id = NEW.user_id AND created_at < NEW.since
    ORDER BY created_at DESC, feedback_id DESC LIMIT 1;
    INSERT INTO learning_fold (user_id, state, folded_at, folded_id)
    SELECT user_id, state, folded_at, folded_id FROM learning_origin
    WHERE user_id = NEW.user_id AND NOT EXISTS (SELECT 1 FROM learning_fold WHERE user_id = NEW.user_id);
    DELETE FROM learning_checkpoint
    WHERE user_id = NEW.user_id AND (created_at, feedback_id)
          > (SELECT folded_at, folded_id FROM learning_fold WHERE user_id = NEW.user_id);
    DELETE FROM profile_history
    WHERE user_id = NEW.user_id AND (created_at, feedback_id)
          > (SELECT folded_at, folded_id FROM learning_fold WHERE user_id = NEW.user_id);
    INSERT INTO learning_step
    SELECT feedback.*
    FROM learning_fold AS fold
    CROSS JOIN learning_feedback AS feedback ON feedback.user_id = fold.user_id
    WHERE fold.user_id = NEW.user_id AND (feedback.created_at, feedback.id) > (fold.folded_at, fold.folded_id)
    ORDER BY feedback.created_at, feedback.id;
    INSERT INTO store_neural_profile (user_id, band)
    SELECT NEW.user_id, band FROM learning_band WHERE band <> 'beta';
    DELETE FROM learning_fold WHERE user_id = NEW.user_id;
END;

-- Writes the folded state into the profile, with the columns that follow from it; of the preferred ranges that of
-- `band`: the stretch around the best-rated point k that the ratings cannot tell from it, half a grid step each side and
-- clipped to the band; NULL for a band without ratings. The twin of curve.preferred_range(). The pair (j, k), j >= k,
-- stands at j * (j + 1) / 2 + k of the covariance.
DROP VIEW IF EXISTS learning_range;  -- of an earlier version
DROP VIEW IF EXISTS store_neural_profile;
CREATE VIEW store_neural_profile AS SELECT user_id, touched AS band FROM learning_fold WHERE false;

CREATE TRIGGER store_neural_profile_row INSTEAD OF INSERT ON store_neural_profile
BEGIN
    UPDATE neural_profiles
    SET base_frequency_response = fold.state,
        sensitivity_level = CAST(json_extract(fold.state, '$.sens') + 0.5 AS INTEGER),
        optimal_transition_time = CAST(json_extract(fold.state, '$.trans') + 0.5 AS INTEGER),
        updated_at = coalesce(fold.moved_at, nullif(fold.folded_at, ''),
                              (SELECT created_at FROM learning_base WHERE user_id = NEW.user_id),
                              neural_profiles.created_at),
        delta_range_low = CASE NEW.band WHEN 'delta' THEN range.low_hz ELSE delta_range_low END,
        delta_range_high = CASE NEW.band WHEN 'delta' THEN range.high_hz ELSE delta_range_high END,
        theta_range_low = CASE NEW.band WHEN 'theta' THEN range.low_hz ELSE theta_range_low END,
        theta_range_high = CASE NEW.band WHEN 'theta' THEN range.high_hz ELSE theta_range_high END,
        alpha_range_low = CASE NEW.band WHEN 'alpha' THEN range.low_hz ELSE alpha_range_low END,
        alpha_range_high = CASE NEW.band WHEN 'alpha' THEN range.high_hz ELSE alpha_range_high END,
        gamma_range_low = CASE NEW.band WHEN 'gamma' THEN range.low_hz ELSE gamma_range_low END,
        gamma_range_high = CASE NEW.band WHEN 'gamma' THEN range.high_hz ELSE gamma_range_high END
    FROM learning_fold AS fold
    CROSS JOIN (
        WITH
        known (mean, covariance) AS MATERIALIZED (
            SELECT json_extract(state, '$.bands.' || NEW.band || '.m'), json_extract(state, '$.bands.' || NEW.band || '.C')
            FROM learning_fold WHERE user_id = NEW.user_id AND NEW.band <> ''),
        top (k, mean) AS MATERIALIZED (
            SELECT key, value FROM known CROSS JOIN json_each(known.mean) ORDER BY value DESC, key LIMIT 1),
        far (j, k) AS MATERIALIZED (
            SELECT key, k
            FROM known
            CROSS JOIN top
            CROSS JOIN json_each(known.mean) AS point
            WHERE top.mean - value > 0.03
              AND (top.mean - value) * (top.mean - value)
                  > 0.25 * (json_extract(covariance, '$[' || (k * (k + 1) / 2 + k) || ']')
                            + json_extract(covariance, '$[' || (key * (key + 1) / 2 + key) || ']')
                            - 2 * json_extract(covariance, '$['
                                || (max(k, key) * (max(k, key) + 1) / 2 + min(k, key)) || ']')))
        SELECT max(band.low_hz, band.low_hz + (band.high_hz - band.low_hz) / 8
                   * (coalesce((SELECT max(j) + 1 FROM far WHERE j < far.k), 0) - 0.5)) AS low_hz,
               min(band.high_hz, band.low_hz + (band.high_hz - band.low_hz) / 8
                   * (coalesce((SELECT min(j) - 1 FROM far WHERE j > far.k), 8) + 0.5)) AS high_hz
        FROM (SELECT 1) LEFT JOIN learning_band AS band ON band.band = NEW.band AND EXISTS (SELECT 1 FROM top)
    ) AS range
    WHERE neural_profiles.user_id = NEW.user_id AND fold.user_id = NEW.user_id;
END;

-- Makes a missing profile. Its state is NULL, so that the fold which follows is a rebuild: there may be earlier
-- feedback. It carries the red flags of that feedback, for those stick.
DROP VIEW IF EXISTS start_neural_profile;
CREATE VIEW start_neural_profile AS SELECT user_id FROM neural_profiles WHERE false;

CREATE TRIGGER start_neural_profile_row INSTEAD OF INSERT ON start_neural_profile
WHEN NOT EXISTS (SELECT 1 FROM neural_profiles WHERE user_id = NEW.user_id)
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
