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
    INSERT INTO learning_work (user_id, flags, y, noise, sens, trans, vol, sens_after, trans_after, vol_after, nt_after,
                               band, low_hz, high_hz, i, t)
    SELECT NEW.user_id,
           CASE WHEN red THEN (
               SELECT json_group_array(effect)
               FROM (SELECT DISTINCT effect FROM learning_effect
                     WHERE user_id = NEW.user_id AND feedback_id = NEW.id AND kind = 'red_flag' AND severity > 0
                     ORDER BY effect)) ELSE '[]' END,
           y, noise, sens, trans, vol,
           CASE WHEN severity > 0 THEN min(10.0, sens + 0.8 * severity) ELSE max(1.0, sens - 0.06) END,
           max(60.0, min(900.0, CASE
               WHEN pace = 1 THEN trans * (1 + 0.30 / (1 + 0.25 * nt))
               WHEN pace = -1 THEN trans / (1 + 0.30 / (1 + 0.25 * nt))
               WHEN severity > 0 THEN trans * 1.05
               ELSE trans
           END)),
           CASE level WHEN 1 THEN max(10.0, vol - 6) WHEN -1 THEN min(70.0, vol + 4) ELSE vol END,
           nt + abs(pace),
           band, low_hz, high_hz, min(7, CAST(u AS INTEGER)), u - min(7, CAST(u AS INTEGER))
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

    -- 2. The curves: the band's, and the group's if it has one there.
    INSERT INTO learning_update (user_id, place, name, state_group, curve, known)
    SELECT NEW.user_id, place, name, NEW.state_group,
           json_extract(state, '$.' || place || '.' || name), json_extract(state, '$.bands.' || band || '.m')
    FROM (SELECT 'bands' AS place, band AS name, band FROM learning_work
          WHERE user_id = NEW.user_id AND band IS NOT NULL
          UNION ALL
          SELECT 'groups', own.state_group || '_' || own.band, own.band
          FROM learning_work CROSS JOIN learning_group_prior AS own ON own.band = learning_work.band
          WHERE learning_work.user_id = NEW.user_id AND own.state_group = NEW.state_group AND own.j = 0)
    CROSS JOIN learning_fold AS fold ON fold.user_id = NEW.user_id;

    -- 3. What moved: of the group's curve if there is one, else of the band's.
    INSERT INTO profile_history (user_id, feedback_id, created_at, change)
    SELECT NEW.user_id, NEW.id, NEW.created_at,
           printf('{"sens":[%!.17g,%!.17g],"trans":[%!.17g,%!.17g],"vol":[%!.17g,%!.17g],"flags":%s%s%s}',
                  sens, sens_after, trans, trans_after, vol, vol_after, flags,
                  CASE WHEN band IS NULL THEN '' ELSE printf(
                      ',"f":%!.17g,"y":%!.17g,"band":"%s"%s,"m_before":%!.17g,"m_after":%!.17g,"best":[%!.17g,%!.17g]',
                      NEW.hz, y, band, CASE place WHEN 'groups' THEN ',"group":"' || NEW.state_group || '"' ELSE '' END,
                      (1 - t) * json_extract(mean_before, '$[' || i || ']')
                          + t * json_extract(mean_before, '$[' || (i + 1) || ']'),
                      (1 - t) * json_extract(mean, '$[' || i || ']') + t * json_extract(mean, '$[' || (i + 1) || ']'),
                      (SELECT low_hz + (high_hz - low_hz) / 8 * key
                       FROM json_each(mean_before) ORDER BY value DESC, key LIMIT 1),
                      (SELECT low_hz + (high_hz - low_hz) / 8 * key
                       FROM json_each(mean) ORDER BY value DESC, key LIMIT 1))
                  END,
                  CASE WHEN NEW.rating IS NULL THEN '' ELSE ',"rating":' || NEW.rating END)
    FROM (SELECT * FROM learning_work WHERE user_id = NEW.user_id) AS work
    LEFT JOIN (SELECT place, mean_before, mean FROM learning_work_curve
               WHERE user_id = NEW.user_id ORDER BY place DESC LIMIT 1) AS curve;

    -- 4. The state. (Where there is no such curve, nt is written twice.)
    UPDATE learning_fold
    SET state = json_set(state,
            '$.n', json_extract(state, '$.n') + 1,
            '$.sens', json(printf('%!.17g', sens_after)),
            '$.trans', json(printf('%!.17g', trans_after)),
            '$.vol', json(printf('%!.17g', vol_after)),
            '$.nt', nt_after,
            coalesce(whole_path, '$.nt'), coalesce(json(whole), nt_after),
            coalesce(own_path, '$.nt'), coalesce(json(own), nt_after)),
        moved_at = NEW.created_at,
        touched = coalesce(band, '')
    FROM (SELECT sens_after, trans_after, vol_after, nt_after, band,
                 max(CASE place WHEN 'bands' THEN '$.bands.' || name END) AS whole_path,
                 max(CASE place WHEN 'bands' THEN after END) AS whole,
                 max(CASE place WHEN 'groups' THEN '$.groups.' || name END) AS own_path,
                 max(CASE place WHEN 'groups' THEN after END) AS own
          FROM (SELECT * FROM learning_work WHERE user_id = NEW.user_id) AS work
          LEFT JOIN (SELECT place, name, '{"n":' || n || ',"m":' || mean || ',"C":' || covariance || '}' AS after
                     FROM learning_work_curve WHERE user_id = NEW.user_id) AS moved)
    WHERE user_id = NEW.user_id;
    INSERT INTO learning_checkpoint (user_id, created_at, feedback_id, state)
    SELECT user_id, NEW.created_at, NEW.id, state FROM learning_fold
    WHERE user_id = NEW.user_id AND json_extract(state, '$.n') % 32 = 0;
    DELETE FROM learning_work_curve WHERE user_id = NEW.user_id;
    DELETE FROM learning_work WHERE user_id = NEW.user_id;
END;

-- Forgets a little, then learns y: m + g v / S and C - g g' / S. `curve` is what the state holds, NULL before the first
-- rating; `known` is the band's mean then. The pair (j, k), j >= k, stands at j * (j + 1) / 2 + k of the covariance.
DROP VIEW IF EXISTS learning_update;
CREATE VIEW learning_update AS
SELECT user_id, place, name, name AS state_group, name AS curve, name AS known FROM learning_work_curve WHERE false;

CREATE TRIGGER learning_update_curve INSTEAD OF INSERT ON learning_update
BEGIN
    INSERT INTO learning_work_curve (user_id, place, name, n, mean_before, mean, covariance)
    SELECT NEW.user_id, NEW.place, NEW.name, coalesce(json_extract(NEW.curve, '$.n'), 0) + 1, mean_before, mean, covariance
    FROM (
        WITH
        task AS MATERIALIZED (
            SELECT band, i, t, y, noise, json_extract(NEW.curve, '$.m') AS mean, json_extract(NEW.curve, '$.C') AS covariance
            FROM learning_work WHERE user_id = NEW.user_id),
        kernel (p, value) AS NOT MATERIALIZED (
            SELECT p, CASE NEW.place WHEN 'bands' THEN covariance ELSE group_covariance END FROM learning_kernel),
        -- A curve begins at home. A group's home is half-way to what the band knew before.
        start (j, home, mean) AS MATERIALIZED (
            SELECT j, home, coalesce(json_extract(task.mean, '$[' || j || ']'), home)
            FROM task
            CROSS JOIN (
                SELECT prior.j, CASE NEW.place WHEN 'bands' THEN prior.mean ELSE own.mean
                           + 0.5 * (coalesce(json_extract(NEW.known, '$[' || prior.j || ']'), prior.mean) - prior.mean)
                       END AS home
                FROM learning_work
                CROSS JOIN learning_prior AS prior ON prior.band = learning_work.band
                LEFT JOIN learning_group_prior AS own
                    ON own.state_group = NEW.state_group AND own.band = prior.band AND own.j = prior.j
                WHERE learning_work.user_id = NEW.user_id)),
        point (j, mean, gain) AS MATERIALIZED (
            SELECT start.j,
                   home + 0.99498743710662 * (start.mean - home),  -- the square root of 0.99
                   (1 - t) * (0.99 * coalesce(json_extract(covariance, '$[' || near.p || ']'), near.value)
                              + (1 - 0.99) * near.value)
                       + t * (0.99 * coalesce(json_extract(covariance, '$[' || next.p || ']'), next.value)
                              + (1 - 0.99) * next.value)
            FROM task
            CROSS JOIN start
            CROSS JOIN kernel AS near ON near.p = max(i, start.j) * (max(i, start.j) + 1) / 2 + min(i, start.j)
            CROSS JOIN kernel AS next ON next.p = max(i + 1, start.j) * (max(i + 1, start.j) + 1) / 2 + min(i + 1, start.j)),
        total (spread, surprise) AS MATERIALIZED (
            SELECT (1 - t) * here.gain + t * next.gain + noise,
                   max(-0.6, min(0.6, y - (1 - t) * here.mean - t * next.mean))
            FROM task CROSS JOIN point AS here ON here.j = i CROSS JOIN point AS next ON next.j = i + 1)
        SELECT
            coalesce(task.mean, (SELECT '[' || group_concat(printf('%!.17g', mean)) || ']'
                                 FROM (SELECT mean FROM start ORDER BY j))) AS mean_before,
            (SELECT '[' || group_concat(printf('%!.17g', value)) || ']'
             FROM (SELECT mean + gain * surprise / spread AS value
                   FROM total CROSS JOIN point ORDER BY j)) AS mean,
            (SELECT '[' || group_concat(printf('%!.17g', value)) || ']'
             FROM (SELECT 0.99 * coalesce(json_extract(task.covariance, '$[' || kernel.p || ']'), kernel.value)
                              + (1 - 0.99) * kernel.value - high.gain * low.gain / spread AS value
                   FROM total
                   CROSS JOIN point AS high
                   CROSS JOIN point AS low ON low.j <= high.j
                   CROSS JOIN kernel ON kernel.p = high.j * (high.j + 1) / 2 + low.j
                   ORDER BY kernel.p)) AS covariance
        FROM task);
END;
