-- INSERT INTO learning_step folds one feedback into the state of its person's profile and writes its row of
-- profile_history: one scalar Kalman step of a Gaussian process on nine points. The twin of curve.fold(), which
-- names the sources. Only + - x / and comparisons, in the same order as there, so that the numbers are the same
-- to the last digit. Reals enter JSON through printf: SQLite 3.40 by itself writes only 15 digits.
DROP VIEW IF EXISTS learning_step;
CREATE VIEW learning_step AS SELECT * FROM learning_feedback WHERE false;

CREATE TRIGGER learning_step_fold INSTEAD OF INSERT ON learning_step
BEGIN
    -- 1. What is known before, what was said, and what it means for the curve.
    INSERT INTO learning_work (user_id, feedback_id, created_at, sens, trans, vol, nt,
                               severity, pace, level, flags, y, noise, hz)
    SELECT NEW.user_id, NEW.id, NEW.created_at,
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
           NEW.hz
    FROM (SELECT base_frequency_response AS state FROM neural_profiles WHERE user_id = NEW.user_id) AS profile
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

    -- 3. The place on the band's grid, and the band's curve so far. (No band: all of this stays NULL.)
    UPDATE learning_work
    SET (low_hz, high_hz, u) = (
            SELECT low_hz, high_hz, 8 * (hz - low_hz) / (high_hz - low_hz)
            FROM learning_band WHERE learning_band.band = learning_work.band),
        (n, mean, covariance) = (
            SELECT coalesce(json_extract(curve, '$.n'), 0),
                   coalesce(json_extract(curve, '$.m'), (
                       SELECT '[' || group_concat(printf('%!.17g', mean)) || ']'
                       FROM (SELECT mean FROM learning_prior
                             WHERE learning_prior.band = learning_work.band ORDER BY j))),
                   coalesce(json_extract(curve, '$.C'), (
                       SELECT '[' || group_concat(printf('%!.17g', covariance)) || ']'
                       FROM (SELECT covariance FROM learning_kernel ORDER BY p)))
            FROM (SELECT json_extract(base_frequency_response, '$.bands.' || learning_work.band) AS curve
                  FROM neural_profiles WHERE user_id = NEW.user_id))
    WHERE user_id = NEW.user_id AND band IS NOT NULL;
    UPDATE learning_work
    SET i = min(7, CAST(u AS INTEGER)), t = u - min(7, CAST(u AS INTEGER))
    WHERE user_id = NEW.user_id AND band IS NOT NULL;

    -- 4. Forget a little, then learn y: m + g v / S and C - g g' / S.
    UPDATE learning_work
    SET (mean_after, covariance_after) = (
        WITH
        task AS MATERIALIZED (SELECT * FROM learning_work WHERE user_id = NEW.user_id),
        faded_mean (j, value) AS MATERIALIZED (
            SELECT j, prior.mean + 0.99498743710662 * (old.value - prior.mean)  -- the square root of 0.99
            FROM task
            CROSS JOIN json_each(task.mean) AS old
            CROSS JOIN learning_prior AS prior ON prior.band = task.band AND prior.j = old.key),
        faded (p, j, k, value) AS MATERIALIZED (
            SELECT p, j, k, 0.99 * old.value + (1 - 0.99) * kernel.covariance
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
    WHERE user_id = NEW.user_id AND band IS NOT NULL;

    -- 5. The preferred range: the stretch around the best-rated point k that the ratings cannot tell from it, half
    -- a grid step each side and clipped to the band. The twin of curve.preferred_range().
    -- The pair (j, k), j >= k, stands at j * (j + 1) / 2 + k of the covariance.
    UPDATE learning_work
    SET (range_low_hz, range_high_hz) = (
        WITH
        point (j, mean) AS MATERIALIZED (SELECT key, value FROM json_each(learning_work.mean_after)),
        pair (p, value) AS MATERIALIZED (SELECT key, value FROM json_each(learning_work.covariance_after)),
        top (k, mean) AS MATERIALIZED (SELECT j, mean FROM point ORDER BY mean DESC, j LIMIT 1),
        far (j, k) AS MATERIALIZED (
            SELECT j, k
            FROM top
            CROSS JOIN point
            CROSS JOIN pair AS kk ON kk.p = k * (k + 1) / 2 + k
            CROSS JOIN pair AS jj ON jj.p = j * (j + 1) / 2 + j
            CROSS JOIN pair AS kj ON kj.p = max(k, j) * (max(k, j) + 1) / 2 + min(k, j)
            WHERE top.mean - point.mean > 0.03
              AND (top.mean - point.mean) * (top.mean - point.mean)
                  > 0.25 * (kk.value + jj.value - 2 * kj.value))
        SELECT max(low_hz, low_hz + (high_hz - low_hz) / 8
                   * (coalesce((SELECT max(j) + 1 FROM far WHERE j < k), 0) - 0.5)),
               min(high_hz, low_hz + (high_hz - low_hz) / 8
                   * (coalesce((SELECT min(j) - 1 FROM far WHERE j > k), 8) + 0.5)))
    WHERE user_id = NEW.user_id AND band IS NOT NULL;

    -- 6. The profile.
    UPDATE neural_profiles
    SET base_frequency_response = json_set(
            CASE WHEN band IS NULL THEN base_frequency_response
                 ELSE json_set(base_frequency_response, '$.bands.' || band, json(
                     '{"n":' || (n + 1) || ',"m":' || mean_after || ',"C":' || covariance_after || '}'))
            END,
            '$.n', json_extract(base_frequency_response, '$.n') + 1,
            '$.sens', json(printf('%!.17g', sens_after)),
            '$.trans', json(printf('%!.17g', trans_after)),
            '$.vol', json(printf('%!.17g', vol_after)),
            '$.nt', nt + abs(pace)),
        sensitivity_level = CAST(sens_after + 0.5 AS INTEGER),
        optimal_transition_time = CAST(trans_after + 0.5 AS INTEGER),
        updated_at = work.created_at,
        delta_range_low = CASE band WHEN 'delta' THEN range_low_hz ELSE delta_range_low END,
        delta_range_high = CASE band WHEN 'delta' THEN range_high_hz ELSE delta_range_high END,
        theta_range_low = CASE band WHEN 'theta' THEN range_low_hz ELSE theta_range_low END,
        theta_range_high = CASE band WHEN 'theta' THEN range_high_hz ELSE theta_range_high END,
        alpha_range_low = CASE band WHEN 'alpha' THEN range_low_hz ELSE alpha_range_low END,
        alpha_range_high = CASE band WHEN 'alpha' THEN range_high_hz ELSE alpha_range_high END,
        gamma_range_low = CASE band WHEN 'gamma' THEN range_low_hz ELSE gamma_range_low END,
        gamma_range_high = CASE band WHEN 'gamma' THEN range_high_hz ELSE gamma_range_high END
    FROM learning_work AS work
    WHERE neural_profiles.user_id = NEW.user_id AND work.user_id = NEW.user_id;

    -- 7. What moved.
    INSERT INTO profile_history (user_id, feedback_id, created_at, change)
    SELECT user_id, feedback_id, created_at,
           printf('{"sens":[%!.17g,%!.17g],"trans":[%!.17g,%!.17g],"vol":[%!.17g,%!.17g],"flags":%s%s}',
                  sens, sens_after, trans, trans_after, vol, vol_after, flags,
                  CASE WHEN band IS NULL THEN '' ELSE printf(
                      ',"f":%!.17g,"y":%!.17g,"band":"%s","m_before":%!.17g,"m_after":%!.17g,"best":[%!.17g,%!.17g]',
                      hz, y, band,
                      (1 - t) * json_extract(mean, '$[' || i || ']') + t * json_extract(mean, '$[' || (i + 1) || ']'),
                      (1 - t) * json_extract(mean_after, '$[' || i || ']')
                          + t * json_extract(mean_after, '$[' || (i + 1) || ']'),
                      (SELECT low_hz + (high_hz - low_hz) / 8 * key
                       FROM json_each(mean) ORDER BY value DESC, key LIMIT 1),
                      (SELECT low_hz + (high_hz - low_hz) / 8 * key
                       FROM json_each(mean_after) ORDER BY value DESC, key LIMIT 1))
                  END)
    FROM learning_work
    WHERE user_id = NEW.user_id;
    DELETE FROM learning_work WHERE user_id = NEW.user_id;
END;
