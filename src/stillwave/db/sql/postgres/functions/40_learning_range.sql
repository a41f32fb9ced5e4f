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
    k integer;
    direction integer;
    j integer;
    gap double precision;
    first integer;
    last integer;
BEGIN
    IF mean IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT low_hz, high_hz, (high_hz - low_hz) / 8 INTO low, high, step_hz FROM learning_band WHERE band = of_band;
    k := learning_best(mean) - 1;
    FOREACH direction IN ARRAY ARRAY[-1, 1] LOOP
        j := k;
        WHILE j + direction BETWEEN 0 AND 8 LOOP
            gap := mean[k + 1] - mean[j + direction + 1];
            EXIT WHEN gap > 0.03::double precision AND gap * gap > 0.25::double precision * (
                covariance[learning_pair(k, k)] + covariance[learning_pair(j + direction, j + direction)]
                - 2 * covariance[learning_pair(k, j + direction)]);
            j := j + direction;
        END LOOP;
        first := coalesce(first, j);
        last := j;
    END LOOP;
    -- Every grid point is a short binary fraction, so the cast to numeric is exact.
    RETURN numrange(
        greatest(low, low + step_hz * (first - 0.5::double precision))::numeric,
        least(high, low + step_hz * (last + 0.5::double precision))::numeric,
        '[]');
END
$$;
