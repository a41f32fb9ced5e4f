-- One feedback folded into the state: one scalar Kalman step of a Gaussian process on nine points.
-- The twin of curve.fold(), which names the sources. Only + - x / and comparisons, in the same order
-- as there, so that the numbers are the same to the last digit.

-- Arrays count from 1 and the grid from 0: point j is [j + 1], and of two points the pair (j, k), j >= k,
-- is [j * (j + 1) / 2 + k + 1].
CREATE OR REPLACE FUNCTION learning_pair(j integer, k integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT greatest(j, k) * (greatest(j, k) + 1) / 2 + least(j, k) + 1
$$;

CREATE OR REPLACE FUNCTION learning_numbers(list jsonb) RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE  -- not IMMUTABLE: text to float is not, and it would not be inlined
AS $$
    SELECT translate(list::text, '[]', '{}')::double precision[]
$$;

-- The first place in a list that holds its highest value.
CREATE OR REPLACE FUNCTION learning_best(list double precision[]) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    best integer := 1;
BEGIN
    FOR place IN 2..9 LOOP
        IF list[place] > list[best] THEN
            best := place;
        END IF;
    END LOOP;
    RETURN best;
END
$$;

-- The covariance before the first rating, of a kernel by distance.
CREATE OR REPLACE FUNCTION learning_prior_covariance(kernel double precision[]) RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT array_agg(kernel[j - k + 1] ORDER BY p) FROM learning_kernel
$$;

-- Signatures of earlier versions, which CREATE OR REPLACE would leave.
DROP FUNCTION IF EXISTS learning_update(
    jsonb, learning_band, double precision, double precision, double precision);
DROP FUNCTION IF EXISTS learning_step(jsonb, integer, integer, double precision, jsonb, jsonb);

-- Forgets a little towards home (mean) and kernel (covariance), where a curve also begins; then learns y at hz.
-- The kernel is the covariance of two points by their distance, [distance + 1].
-- Returns the curve after it, and the mean at hz before and after.
CREATE OR REPLACE FUNCTION learning_update(
    curve jsonb, home double precision[], kernel double precision[], in_band learning_band,
    hz double precision, y double precision, noise double precision,
    OUT curve_after jsonb, OUT moved jsonb)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    mean double precision[] := coalesce(learning_numbers(curve -> 'm'), home);
    covariance double precision[] := coalesce(learning_numbers(curve -> 'C'), learning_prior_covariance(kernel));
    before double precision[] := mean;
    u double precision := 8 * (hz - in_band.low_hz) / (in_band.high_hz - in_band.low_hz);
    i integer := least(7, floor(u)::integer);
    t double precision := u - i;
    step_hz double precision := (in_band.high_hz - in_band.low_hz) / 8;
    gain double precision[] := '{}';
    spread double precision;
    surprise double precision;
    p integer := 0;
    keep CONSTANT double precision := 0.99;
    keep_root CONSTANT double precision := 0.99498743710662;  -- its square root
    most_surprise CONSTANT double precision := 0.6;
BEGIN
    FOR j IN 0..8 LOOP
        mean[j + 1] := home[j + 1] + keep_root * (mean[j + 1] - home[j + 1]);
        gain[j + 1] := (1 - t) * (keep * covariance[learning_pair(i, j)] + (1 - keep) * kernel[abs(i - j) + 1])
            + t * (keep * covariance[learning_pair(i + 1, j)] + (1 - keep) * kernel[abs(i + 1 - j) + 1]);
    END LOOP;
    spread := (1 - t) * gain[i + 1] + t * gain[i + 2] + noise;
    surprise := greatest(-most_surprise,
                         least(most_surprise, y - (1 - t) * mean[i + 1] - t * mean[i + 2]));
    FOR j IN 1..9 LOOP
        mean[j] := mean[j] + gain[j] * surprise / spread;
        FOR k IN 1..j LOOP
            p := p + 1;
            covariance[p] := keep * covariance[p] + (1 - keep) * kernel[j - k + 1] - gain[j] * gain[k] / spread;
        END LOOP;
    END LOOP;
    curve_after := jsonb_build_object(
        'n', coalesce((curve ->> 'n')::integer, 0) + 1, 'm', to_jsonb(mean), 'C', to_jsonb(covariance));
    moved := jsonb_build_object(
        'f', hz, 'y', y, 'band', in_band.band,
        'm_before', (1 - t) * before[i + 1] + t * before[i + 2],
        'm_after', (1 - t) * mean[i + 1] + t * mean[i + 2],
        'best', jsonb_build_array(in_band.low_hz + step_hz * (learning_best(before) - 1),
                                  in_band.low_hz + step_hz * (learning_best(mean) - 1)));
END
$$;

-- `change` is the row of profile_history.
CREATE OR REPLACE FUNCTION learning_step(
    INOUT state jsonb, rating integer, effectiveness integer, hz double precision, physical jsonb, mental jsonb,
    of_group text, OUT change jsonb)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    sens double precision := (state -> 'sens')::double precision;
    trans double precision := (state -> 'trans')::double precision;
    vol double precision := (state -> 'vol')::double precision;
    nt integer := (state -> 'nt')::integer;
    severity double precision;
    too_fast boolean;
    too_slow boolean;
    too_loud boolean;
    too_quiet boolean;
    flags jsonb;
    pace double precision := 1 + 0.30::double precision / (1 + 0.25::double precision * nt);
    y double precision;
    noise double precision;
    in_band learning_band;
    bands jsonb := state -> 'bands';
    groups jsonb := state -> 'groups';
    curve_key text;
    curve jsonb;
    updated record;  -- assigned: unlike SELECT INTO that starts no query
    prior double precision[];
    own_prior double precision[];
    kernel double precision[];
    own_kernel double precision[];
    mean double precision[];
    borrow CONSTANT double precision := 0.5;
    moved jsonb := '{}';
BEGIN
    SELECT coalesce(max(effects.severity) FILTER (WHERE kind IN ('adverse', 'red_flag')), 0),
           coalesce(bool_or(effect = 'too_fast'), false), coalesce(bool_or(effect = 'too_slow'), false),
           coalesce(bool_or(effect = 'too_loud'), false), coalesce(bool_or(effect = 'too_quiet'), false),
           coalesce(jsonb_agg(DISTINCT effect) FILTER (WHERE kind = 'red_flag'), '[]')
    INTO severity, too_fast, too_slow, too_loud, too_quiet, flags
    FROM learning_effects(physical, mental) AS effects
    WHERE effects.severity > 0;

    sens := CASE WHEN severity > 0 THEN least(10, sens + 0.8::double precision * severity)
                 ELSE greatest(1, sens - 0.06::double precision) END;
    -- Contradictory answers (both too fast and too slow) count as none.
    IF too_fast <> too_slow THEN
        trans := CASE WHEN too_fast THEN trans * pace ELSE trans / pace END;
        nt := nt + 1;
    ELSIF severity > 0 THEN
        trans := trans * 1.05::double precision;
    END IF;
    trans := greatest(60, least(900, trans));
    IF too_loud <> too_quiet THEN
        vol := CASE WHEN too_loud THEN greatest(10, vol - 6) ELSE least(70, vol + 4) END;
    END IF;

    IF rating IS NOT NULL AND effectiveness IS NOT NULL THEN
        y := (rating - 1) / 8::double precision + (effectiveness - 1) / 18::double precision;
        noise := 0.036;
    ELSIF rating IS NOT NULL THEN
        y := (rating - 1) / 4::double precision;
        noise := 0.050;
    ELSIF effectiveness IS NOT NULL THEN
        y := (effectiveness - 1) / 9::double precision;
        noise := 0.060;
    END IF;
    IF y IS NOT NULL AND hz BETWEEN 0.5 AND 50 THEN
        SELECT * INTO in_band FROM learning_band WHERE low_hz <= hz ORDER BY low_hz DESC LIMIT 1;
        SELECT ARRAY(SELECT one.mean FROM learning_prior AS one WHERE band = in_band.band ORDER BY j),
               ARRAY(SELECT one.mean FROM learning_group_prior AS one
                     WHERE state_group = of_group AND band = in_band.band ORDER BY j)
        INTO prior, own_prior;
        SELECT array_agg(covariance ORDER BY j), array_agg(group_covariance ORDER BY j)
        INTO kernel, own_kernel FROM learning_kernel WHERE k = 0;
        curve := bands -> in_band.band;
        updated := learning_update(curve, prior, kernel, in_band, hz, y, noise);
        bands := bands || jsonb_build_object(in_band.band, updated.curve_after);
        -- The curve of such states, if they have one in this band: at home half-way to what the band knew before.
        IF own_prior <> '{}' THEN
            mean := coalesce(learning_numbers(curve -> 'm'), prior);
            FOR point IN 1..9 LOOP
                own_prior[point] := own_prior[point] + borrow * (mean[point] - prior[point]);
            END LOOP;
            curve_key := of_group || '_' || in_band.band;
            updated := learning_update(groups -> curve_key, own_prior, own_kernel, in_band, hz, y, noise);
            groups := groups || jsonb_build_object(curve_key, updated.curve_after);
            moved := jsonb_build_object('group', of_group);
        END IF;
        moved := moved || updated.moved;
    END IF;

    IF rating IS NOT NULL THEN
        moved := moved || jsonb_build_object('rating', rating);
    END IF;
    change := moved || jsonb_build_object(
        'sens', jsonb_build_array(state -> 'sens', sens), 'trans', jsonb_build_array(state -> 'trans', trans),
        'vol', jsonb_build_array(state -> 'vol', vol), 'flags', flags);
    state := jsonb_build_object(
        'v', 2, 'n', (state -> 'n')::integer + 1, 'sens', sens, 'trans', trans, 'vol', vol, 'nt', nt,
        'bands', bands, 'groups', groups);
END
$$;
