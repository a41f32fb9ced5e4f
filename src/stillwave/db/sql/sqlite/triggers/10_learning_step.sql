-- INSERT INTO learning_step folds one feedback into the state in learning_fold and writes its row of
-- profile_history: one scalar Kalman step of a Gaussian process on nine points, for the band's curve and for that of
-- the group of states if it has one there. The twin of curve.fold(), which names the sources. Only + - x / and
-- comparisons, in the same order as there, so that the numbers are the same to the last digit. Reals enter JSON
-- through printf: SQLite 3.40 by itself writes only 15 digits.
DROP VIEW IF EXISTS learning_step;
CREATE VIEW learning_step AS SELECT * FROM learning_feedback WHERE false;

CREATE TRIGGER learning_step_fold INSTEAD OF INSERT ON learning_step
BEGIN
    -- 1. What is known before, what was said, what it means, and the place on the band's grid. (No band: no curves.)
    -- Contradictory answers (both too fast and too slow) count as none.
    INSERT INTO learning_work (user_id, feedback_id, created_at, state, sens, trans, vol, nt,
                               severity, pace, level, flags, y, noise, hz, state_group,
                               sens_after, trans_after, vol_after, band, low_hz, high_hz, u, i, t)
    SELECT NEW.user_id, NEW.id, NEW.created_at, '', sens, trans, vol, nt,
           severity, pace, level,
           CASE WHEN red THEN (
               SELECT json_group_array(effect)
               FROM (SELECT DISTINCT effect FROM learning_effect
                     WHERE user_id = NEW.user_id AND feedback_id = NEW.id AND kind = 'red_flag' AND severity > 0
                     ORDER BY effect)) ELSE '[]' END,
           y, noise, NEW.hz, NEW.state_group,
           CASE WHEN severity > 0 THEN min(10.0, sens + 0.8 * severity) ELSE max(1.0, sens - 0.06) END,
           max(60.0, min(900.0, CASE
               WHEN pace = 1 THEN trans * (1 + 0.30 / (1 + 0.25 * nt))
               WHEN pace = -1 THEN trans / (1 + 0.30 / (1 + 0.25 * nt))
               WHEN severity > 0 THEN trans * 1.05
               ELSE trans
           END)),
           CASE level WHEN 1 THEN max(10.0, vol - 6) WHEN -1 THEN min(70.0, vol + 4) ELSE vol END,
           band, low_hz, high_hz, u, min(7, CAST(u AS INTEGER)), u - min(7, CAST(u AS INTEGER))
    FROM (SELECT json_extract(state, '$.sens') AS sens, json_extract(state, '$.trans') AS trans,
                 json_extract(state, '$.vol') AS vol, json_extract(state, '$.nt') AS nt,
                 CASE
                     WHEN NEW.rating IS NULL THEN (NEW.effectiveness - 1) / 9.0
                     WHEN NEW.effectiveness IS NULL THEN (NEW.rating - 1) / 4.0
                     ELSE (NEW.rating - 1) / 8.0 + (NEW.effectiveness - 1) / 18.0
                 END AS y,
                 CASE WHEN NEW.rating IS NULL THEN 0.060 WHEN NEW.effectiveness IS NULL THEN 0.050 ELSE 0.036 END
                     AS noise
          FROM learning_fold WHERE user_id = NEW.user_id) AS fold
    CROSS JOIN (
        SELECT coalesce(max(CASE WHEN kind IN ('adverse', 'red_flag') THEN severity END), 0.0) AS severity,
               coalesce(max(effect = 'too_fast'), 0) - coalesce(max(effect = 'too_slow'), 0) AS pace,
               coalesce(max(effect = 'too_loud'), 0) - coalesce(max(effect = 'too_quiet'), 0) AS level,
               coalesce(max(kind = 'red_flag'), 0) AS red
        FROM learning_effect
        WHERE user_id = NEW.user_id AND feedback_id = NEW.id AND severity > 0) AS said
    LEFT JOIN (
        SELECT band, low_hz, high_hz, 8 * (NEW.hz - low_hz) / (high_hz - low_hz) AS u
        FROM learning_band
        WHERE NEW.hz BETWEEN 0.5 AND 50 AND low_hz <= NEW.hz
          AND (NEW.rating IS NOT NULL OR NEW.effectiveness IS NOT NULL)
        ORDER BY low_hz DESC LIMIT 1) AS place;

    -- 2. The curves so far.
    INSERT INTO learning_work_curve (user_id, place, curve, n, mean, covariance, home)
    SELECT NEW.user_id, 'bands', band,
           coalesce(json_extract(curve, '$.n'), 0),
           coalesce(json_extract(curve, '$.m'), home),
           coalesce(json_extract(curve, '$.C'), (
               SELECT '[' || group_concat(printf('%!.17g', covariance)) || ']'
               FROM (SELECT covariance FROM learning_kernel ORDER BY p))),
           home
    FROM (SELECT band, json_extract((SELECT state FROM learning_fold WHERE user_id = NEW.user_id), '$.bands.' || band) AS curve,
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
                 json_extract((SELECT state FROM learning_fold WHERE user_id = NEW.user_id),
                              '$.groups.' || state_group || '_' || band) AS curve,
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

    -- 3. Forget and learn.
    INSERT INTO learning_update (user_id, place)
    SELECT user_id, place FROM learning_work_curve WHERE user_id = NEW.user_id;

    -- 4. The state. (Where there is no such curve, nt is written twice.)
    UPDATE learning_fold
    SET state = json_set(state,
            '$.n', json_extract(state, '$.n') + 1,
            '$.sens', json(printf('%!.17g', sens_after)),
            '$.trans', json(printf('%!.17g', trans_after)),
            '$.vol', json(printf('%!.17g', vol_after)),
            '$.nt', nt + abs(pace),
            coalesce(whole_path, '$.nt'), coalesce(json(whole), nt + abs(pace)),
            coalesce(own_path, '$.nt'), coalesce(json(own), nt + abs(pace))),
        moved_at = NEW.created_at,
        touched = coalesce(band, '')
    FROM (SELECT sens_after, trans_after, vol_after, nt, pace, band,
                 max(CASE place WHEN 'bands' THEN '$.bands.' || curve END) AS whole_path,
                 max(CASE place WHEN 'bands' THEN after END) AS whole,
                 max(CASE place WHEN 'groups' THEN '$.groups.' || curve END) AS own_path,
                 max(CASE place WHEN 'groups' THEN after END) AS own
          FROM (SELECT * FROM learning_work WHERE user_id = NEW.user_id) AS work
          LEFT JOIN (SELECT place, curve,
                            '{"n":' || (n + 1) || ',"m":' || mean_after || ',"C":' || covariance_after || '}' AS after
                     FROM learning_work_curve WHERE user_id = NEW.user_id) AS moved)
    WHERE user_id = NEW.user_id;
    INSERT INTO learning_checkpoint (user_id, created_at, feedback_id, state)
    SELECT user_id, NEW.created_at, NEW.id, state FROM learning_fold
    WHERE user_id = NEW.user_id AND json_extract(state, '$.n') % 32 = 0;

    -- 5. What moved: of the group's curve if there is one, else of the band's.
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
            SELECT old.key, home + 0.99498743710662 * (value - home)  -- the square root of 0.99
            FROM (SELECT key, old.value, json_extract(task.home, '$[' || key || ']') AS home
                  FROM task CROSS JOIN json_each(task.mean) AS old) AS old),
        faded (p, j, k, value) AS MATERIALIZED (
            SELECT p, j, k, 0.99 * old.value + (1 - 0.99)
                * CASE place WHEN 'bands' THEN kernel.covariance ELSE group_covariance END
            FROM task
            CROSS JOIN json_each(task.covariance) AS old
            CROSS JOIN learning_kernel AS kernel ON kernel.p = old.key),
        gain (j, value) AS MATERIALIZED (
            SELECT j, (1 - t) * max(CASE WHEN near = i THEN value END) + t * max(CASE WHEN near = i + 1 THEN value END)
            FROM task CROSS JOIN (
                SELECT j, k AS near, value FROM faded UNION ALL SELECT k, j, value FROM faded WHERE j <> k)
            WHERE near IN (i, i + 1) GROUP BY j),
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
