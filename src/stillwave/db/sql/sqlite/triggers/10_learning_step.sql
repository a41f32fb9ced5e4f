-- INSERT INTO learning_step folds one feedback into the state in learning_fold and writes its row of
-- profile_history: one scalar Kalman step of a Gaussian process on nine points, for the band's curve and for that of
-- the group of states if it has one there. The twin of curve.fold(), which names the sources. Only + - x / and
-- comparisons, in the same order as there, so that the numbers are the same to the last digit. Reals enter JSON
-- through printf: SQLite 3.40 by itself writes only 15 digits.
DROP VIEW IF EXISTS learning_step;
CREATE VIEW learning_step AS SELECT * FROM learning_feedback WHERE false;

CREATE TRIGGER learning_step_fold INSTEAD OF INSERT ON learning_step
BEGIN
    -- 1. What is known before, what was said, and what it means for the curves.
    INSERT INTO learning_work (user_id, feedback_id, created_at, state, sens, trans, vol, nt,
                               severity, pace, level, flags, y, noise, hz, state_group)
    SELECT NEW.user_id, NEW.id, NEW.created_at, state,
           json_extract(state, '$.sens'), json_extract(state, '$.trans'),
           json_extract(state, '$.vol'), json_extract(state, '$.nt'),
           said.severity, said.too_fast - said.too_slow, said.too_loud - said.too_quiet,
           (SELECT json_group_array(effect)
            FROM (SELECT DISTINCT effect FROM learning_effect
                  WHERE user_id = NEW.user_id AND feedback_id = NEW.id AND kind = 'red_flag' AND severity > 0
                  ORDER BY effect)),
           CASE
               WHEN NEW.rating IS NULL THEN (NEW.effectiveness - 1) / 9.0
               WHEN NEW.effectiveness IS NULL THEN (NEW.rating - 1) / 4.0
               ELSE (NEW.rating - 1) / 8.0 + (NEW.effectiveness - 1) / 18.0
           END,
           CASE WHEN NEW.rating IS NULL THEN 0.060 WHEN NEW.effectiveness IS NULL THEN 0.050 ELSE 0.036 END,
           NEW.hz, NEW.state_group
    FROM (SELECT state FROM learning_fold WHERE user_id = NEW.user_id) AS fold
    CROSS JOIN (
        SELECT coalesce(max(CASE WHEN kind IN ('adverse', 'red_flag') THEN severity END), 0.0) AS severity,
               coalesce(max(effect = 'too_fast'), 0) AS too_fast,
               coalesce(max(effect = 'too_slow'), 0) AS too_slow,
               coalesce(max(effect = 'too_loud'), 0) AS too_loud,
               coalesce(max(effect = 'too_quiet'), 0) AS too_quiet
        FROM learning_effect
        WHERE user_id = NEW.user_id AND feedback_id = NEW.id AND severity > 0) AS said;

    -- 2. Sensitivity, transition and volume. Contradictory answers (both too fast and too slow) count as none.
    UPDATE learning_work
    SET sens_after = CASE WHEN severity > 0 THEN min(10.0, sens + 0.8 * severity) ELSE max(1.0, sens - 0.06) END,
        trans_after = max(60.0, min(900.0, CASE
            WHEN pace = 1 THEN trans * (1 + 0.30 / (1 + 0.25 * nt))
            WHEN pace = -1 THEN trans / (1 + 0.30 / (1 + 0.25 * nt))
            WHEN severity > 0 THEN trans * 1.05
            ELSE trans
        END)),
        vol_after = CASE level WHEN 1 THEN max(10.0, vol - 6) WHEN -1 THEN min(70.0, vol + 4) ELSE vol END,
        band = (SELECT band FROM learning_band
                WHERE y IS NOT NULL AND hz BETWEEN 0.5 AND 50 AND low_hz <= hz
                ORDER BY low_hz DESC LIMIT 1)
    WHERE user_id = NEW.user_id;

    -- 3. The place on the band's grid, and the curves so far. (No band: no curves.)
    UPDATE learning_work
    SET (low_hz, high_hz, u) = (
        SELECT low_hz, high_hz, 8 * (hz - low_hz) / (high_hz - low_hz)
        FROM learning_band WHERE learning_band.band = learning_work.band)
    WHERE user_id = NEW.user_id AND band IS NOT NULL;
    UPDATE learning_work
    SET i = min(7, CAST(u AS INTEGER)), t = u - min(7, CAST(u AS INTEGER))
    WHERE user_id = NEW.user_id AND band IS NOT NULL;
    INSERT INTO learning_work_curve (user_id, place, curve, n, mean, covariance, home)
    SELECT NEW.user_id, 'bands', band,
           coalesce(json_extract(curve, '$.n'), 0),
           coalesce(json_extract(curve, '$.m'), home),
           coalesce(json_extract(curve, '$.C'), (
               SELECT '[' || group_concat(printf('%!.17g', covariance)) || ']'
               FROM (SELECT covariance FROM learning_kernel ORDER BY p))),
           home
    FROM (SELECT band, json_extract(state, '$.bands.' || band) AS curve,
                 (SELECT '[' || group_concat(printf('%!.17g', mean)) || ']'
                  FROM (SELECT mean FROM learning_prior
                        WHERE learning_prior.band = learning_work.band ORDER BY j)) AS home
          FROM learning_work WHERE user_id = NEW.user_id AND band IS NOT NULL);
    -- The group's is at home half-way to what the band knew before.
    INSERT INTO learning_work_curve (user_id, place, curve, n, mean, covariance, home)
    SELECT NEW.user_id, 'groups', name,
           coalesce(json_extract(curve, '$.n'), 0),
           coalesce(json_extract(curve, '$.m'), home),
           coalesce(json_extract(curve, '$.C'), (
               SELECT '[' || group_concat(printf('%!.17g', group_covariance)) || ']'
               FROM (SELECT group_covariance FROM learning_kernel ORDER BY p))),
           home
    FROM (SELECT state_group || '_' || band AS name,
                 json_extract(state, '$.groups.' || state_group || '_' || band) AS curve,
                 (SELECT '[' || group_concat(printf('%!.17g', value)) || ']'
                  FROM (SELECT own.mean + 0.5 * (known.value - prior.mean) AS value
                        FROM learning_work_curve AS whole
                        CROSS JOIN json_each(whole.mean) AS known
                        CROSS JOIN learning_prior AS prior ON prior.band = whole.curve AND prior.j = known.key
                        CROSS JOIN learning_group_prior AS own
                            ON own.state_group = NEW.state_group AND own.band = whole.curve AND own.j = known.key
                        WHERE whole.user_id = NEW.user_id AND whole.place = 'bands'
                        ORDER BY known.key)) AS home
          FROM learning_work WHERE user_id = NEW.user_id AND band IS NOT NULL AND state_group IS NOT NULL)
    WHERE home IS NOT NULL;

    -- 4. Forget and learn.
    INSERT INTO learning_update (user_id, place)
    SELECT user_id, place FROM learning_work_curve WHERE user_id = NEW.user_id;

    -- 5. The state.
    UPDATE learning_fold
    SET state = json_set(state,
            '$.n', json_extract(state, '$.n') + 1,
            '$.sens', json(printf('%!.17g', sens_after)),
            '$.trans', json(printf('%!.17g', trans_after)),
            '$.vol', json(printf('%!.17g', vol_after)),
            '$.nt', nt + abs(pace)),
        moved_at = work.created_at,
        touched = coalesce(work.band, '')
    FROM (SELECT created_at, band, sens_after, trans_after, vol_after, nt, pace
          FROM learning_work WHERE user_id = NEW.user_id) AS work
    WHERE user_id = NEW.user_id;
    UPDATE learning_fold
    SET state = json_set(state, '$.' || place || '.' || curve, json(
            '{"n":' || (n + 1) || ',"m":' || mean_after || ',"C":' || covariance_after || '}'))
    FROM (SELECT * FROM learning_work_curve WHERE user_id = NEW.user_id AND place = 'bands') AS after
    WHERE learning_fold.user_id = NEW.user_id;
    UPDATE learning_fold
    SET state = json_set(state, '$.' || place || '.' || curve, json(
            '{"n":' || (n + 1) || ',"m":' || mean_after || ',"C":' || covariance_after || '}'))
    FROM (SELECT * FROM learning_work_curve WHERE user_id = NEW.user_id AND place = 'groups') AS after
    WHERE learning_fold.user_id = NEW.user_id;
    INSERT INTO learning_checkpoint (user_id, created_at, feedback_id, state)
    SELECT user_id, NEW.created_at, NEW.id, state FROM learning_fold
    WHERE user_id = NEW.user_id AND json_extract(state, '$.n') % 32 = 0;

    -- 6. What moved: of the group's curve if there is one, else of the band's.
    INSERT INTO profile_history (user_id, feedback_id, created_at, change)
    SELECT NEW.user_id, feedback_id, created_at,
           printf('{"sens":[%!.17g,%!.17g],"trans":[%!.17g,%!.17g],"vol":[%!.17g,%!.17g],"flags":%s%s}',
                  sens, sens_after, trans, trans_after, vol, vol_after, flags,
                  CASE WHEN band IS NULL THEN '' ELSE printf(
                      ',"f":%!.17g,"y":%!.17g,"band":"%s"%s,"m_before":%!.17g,"m_after":%!.17g,"best":[%!.17g,%!.17g]',
                      hz, y, band, CASE place WHEN 'groups' THEN ',"group":"' || state_group || '"' ELSE '' END,
                      (1 - t) * json_extract(mean, '$[' || i || ']') + t * json_extract(mean, '$[' || (i + 1) || ']'),
                      (1 - t) * json_extract(mean_after, '$[' || i || ']')
                          + t * json_extract(mean_after, '$[' || (i + 1) || ']'),
                      (SELECT low_hz + (high_hz - low_hz) / 8 * key
                       FROM json_each(mean) ORDER BY value DESC, key LIMIT 1),
                      (SELECT low_hz + (high_hz - low_hz) / 8 * key
                       FROM json_each(mean_after) ORDER BY value DESC, key LIMIT 1))
                  END)
    FROM (SELECT * FROM learning_work WHERE user_id = NEW.user_id) AS work
    LEFT JOIN (SELECT place, mean, mean_after FROM learning_work_curve
               WHERE user_id = NEW.user_id ORDER BY place DESC LIMIT 1) AS curve;
    DELETE FROM learning_work_curve WHERE user_id = NEW.user_id;
    DELETE FROM learning_work WHERE user_id = NEW.user_id;
END;

-- Forgets a little, then learns y: m + g v / S and C - g g' / S.
DROP VIEW IF EXISTS learning_update;
CREATE VIEW learning_update AS SELECT user_id, place FROM learning_work_curve WHERE false;

CREATE TRIGGER learning_update_curve INSTEAD OF INSERT ON learning_update
BEGIN
    UPDATE learning_work_curve
    SET (mean_after, covariance_after) = (
        WITH
        task AS MATERIALIZED (
            SELECT i, t, y, noise, place, mean, covariance, home
            FROM learning_work CROSS JOIN learning_work_curve AS curve ON curve.user_id = learning_work.user_id
            WHERE learning_work.user_id = NEW.user_id AND curve.place = NEW.place),
        faded_mean (j, value) AS MATERIALIZED (
            SELECT home.key, home.value + 0.99498743710662 * (old.value - home.value)  -- the square root of 0.99
            FROM (SELECT key, value FROM task CROSS JOIN json_each(task.home)) AS home
            CROSS JOIN (SELECT key, value FROM task CROSS JOIN json_each(task.mean)) AS old ON old.key = home.key),
        faded (p, j, k, value) AS MATERIALIZED (
            SELECT p, j, k, 0.99 * old.value + (1 - 0.99)
                * CASE place WHEN 'bands' THEN kernel.covariance ELSE group_covariance END
            FROM task
            CROSS JOIN json_each(task.covariance) AS old
            CROSS JOIN learning_kernel AS kernel ON kernel.p = old.key),
        line (k, j, value) AS MATERIALIZED (
            SELECT k, j, value FROM faded UNION ALL SELECT j, k, value FROM faded WHERE j <> k),
        gain (j, value) AS MATERIALIZED (
            SELECT here.j, (1 - t) * here.value + t * next.value
            FROM task
            CROSS JOIN line AS here ON here.k = i
            CROSS JOIN line AS next ON next.k = i + 1 AND next.j = here.j),
        total (spread, surprise) AS MATERIALIZED (
            SELECT (1 - t) * here.value + t * next.value + noise,
                   max(-0.6, min(0.6, y - (1 - t) * mean_here.value - t * mean_next.value))
            FROM task
            CROSS JOIN gain AS here ON here.j = i
            CROSS JOIN gain AS next ON next.j = i + 1
            CROSS JOIN faded_mean AS mean_here ON mean_here.j = i
            CROSS JOIN faded_mean AS mean_next ON mean_next.j = i + 1)
        SELECT
            (SELECT '[' || group_concat(printf('%!.17g', value)) || ']'
             FROM (SELECT faded_mean.value + gain.value * surprise / spread AS value
                   FROM total CROSS JOIN faded_mean CROSS JOIN gain ON gain.j = faded_mean.j
                   ORDER BY faded_mean.j)),
            (SELECT '[' || group_concat(printf('%!.17g', value)) || ']'
             FROM (SELECT faded.value - gain_j.value * gain_k.value / spread AS value
                   FROM total
                   CROSS JOIN faded
                   CROSS JOIN gain AS gain_j ON gain_j.j = faded.j
                   CROSS JOIN gain AS gain_k ON gain_k.j = faded.k
                   ORDER BY faded.p)))
    WHERE user_id = NEW.user_id AND place = NEW.place;
END;
