-- Per rated band, the stretch around the best-rated point that the ratings cannot tell from it, in Hz, half a
-- grid step each side and clipped to the band. The twin of curve.preferred_range().
-- The pair (j, k), j >= k, stands at j * (j + 1) / 2 + k of the covariance.
DROP VIEW IF EXISTS learning_range;
CREATE VIEW learning_range AS
SELECT user_id,
       band,
       max(low_hz, low_hz + (high_hz - low_hz) / 8
           * (coalesce(max(CASE WHEN far AND j < best THEN j END) + 1, 0) - 0.5)) AS range_low_hz,
       min(high_hz, low_hz + (high_hz - low_hz) / 8
           * (coalesce(min(CASE WHEN far AND j > best THEN j END) - 1, 8) + 0.5)) AS range_high_hz
FROM (
    SELECT user_id, band, low_hz, high_hz, best, point.key AS j,
           top - point.value > 0.03
           AND (top - point.value) * (top - point.value) > 0.25 * (
               json_extract(covariance, '$[' || (best * (best + 1) / 2 + best) || ']')
               + json_extract(covariance, '$[' || (point.key * (point.key + 1) / 2 + point.key) || ']')
               - 2 * json_extract(covariance, '$[' || (max(best, point.key) * (max(best, point.key) + 1) / 2
                                                       + min(best, point.key)) || ']')) AS far
    FROM (
        SELECT profile.user_id, learning_band.band, low_hz, high_hz,
               json_extract(curve.value, '$.m') AS mean,
               json_extract(curve.value, '$.C') AS covariance,
               (SELECT key FROM json_each(curve.value, '$.m') ORDER BY value DESC, key LIMIT 1) AS best,
               (SELECT max(value) FROM json_each(curve.value, '$.m')) AS top
        FROM neural_profiles AS profile
        CROSS JOIN json_each(profile.base_frequency_response, '$.bands') AS curve
        CROSS JOIN learning_band ON learning_band.band = curve.key
    ) AS rated
    CROSS JOIN json_each(rated.mean) AS point
) AS judged
GROUP BY user_id, band, low_hz, high_hz, best;
