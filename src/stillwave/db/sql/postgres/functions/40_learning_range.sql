-- The stretch around the best-rated point that the ratings cannot tell from it, in Hz, half a grid step
-- each side and clipped to the band. NULL for a band without ratings. The twin of curve.preferred_range().
CREATE OR REPLACE FUNCTION learning_range(state jsonb, of_band text) RETURNS numrange
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    mean double precision[] := learning_numbers(state -> 'bands' -> of_band -> 'm');
    covariance double precision[] := learning_numbers(state -> 'bands' -> of_band -> 'C');
    step_hz double precision;
    low double precision;
    high double precision;
    k integer := 0;
    edge integer;
    edges integer[] := '{}';
    gap double precision;
BEGIN
    IF mean IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT low_hz, high_hz, (high_hz - low_hz) / 8 INTO low, high, step_hz FROM learning_band WHERE band = of_band;
    FOR j IN 1..8 LOOP
        IF mean[j + 1] > mean[k + 1] THEN
            k := j;
        END IF;
    END LOOP;
    FOREACH edge IN ARRAY ARRAY[-1, 1] LOOP
        FOR j IN 1..8 LOOP
            EXIT WHEN k + j * edge NOT BETWEEN 0 AND 8;
            gap := mean[k + 1] - mean[k + j * edge + 1];
            EXIT WHEN gap > 0.03 AND gap * gap > 0.25 * (
                covariance[learning_pair(k, k)] + covariance[learning_pair(k + j * edge, k + j * edge)]
                - 2 * covariance[learning_pair(k, k + j * edge)]);
            edges := edges || (k + j * edge);
        END LOOP;
    END LOOP;
    edges := edges || k;
    -- Every grid point is a short binary fraction, so the cast to numeric is exact.
    RETURN numrange(
        greatest(low, low + step_hz * ((SELECT min(at) FROM unnest(edges) AS at) - 0.5::double precision))::numeric,
        least(high, low + step_hz * ((SELECT max(at) FROM unnest(edges) AS at) + 0.5::double precision))::numeric,
        '[]');
END
$$;
