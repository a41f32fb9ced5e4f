-- neural_profiles.base_frequency_response: where it starts, and whether it can be read.

CREATE OR REPLACE FUNCTION learning_start() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT '{"v": 2, "n": 0, "sens": 5, "trans": 240, "vol": 45, "nt": 0, "bands": {}, "groups": {}}'::jsonb
$$;

-- False for anything that is not of the expected shape, so that a damaged profile, or one of version 1, is rebuilt
-- and never makes a feedback fail. The twin of curve.parse(). In a path, abs() of what is no number is an error, which
-- makes the whole condition false.
CREATE OR REPLACE FUNCTION learning_readable(state jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN coalesce(jsonb_path_exists(state, 'strict $ ? (
            @.v == 2 && @.n >= 0 && @.n < 1000000000 && @.n == @.n.floor()
            && @.nt >= 0 && @.nt < 1000000000 && @.nt == @.nt.floor()
            && @.sens >= 1 && @.sens <= 10 && @.trans >= 60 && @.trans <= 900 && @.vol >= 10 && @.vol <= 70
            && @.bands.type() == "object" && @.groups.type() == "object")', silent => true), false)
        AND NOT EXISTS (
            SELECT FROM (
                SELECT 'bands' AS place, key, value
                FROM jsonb_each(CASE jsonb_typeof(state -> 'bands') WHEN 'object' THEN state -> 'bands' END)
                UNION ALL
                SELECT 'groups', key, value
                FROM jsonb_each(CASE jsonb_typeof(state -> 'groups') WHEN 'object' THEN state -> 'groups' END)
            ) AS curve
            WHERE place = 'bands' AND key NOT IN (SELECT band FROM learning_band)
               OR place = 'groups'
                  AND NOT EXISTS (SELECT FROM learning_group_prior AS own
                                  WHERE own.state_group = split_part(key, '_', 1) AND own.band = split_part(key, '_', 2)
                                    AND key = own.state_group || '_' || own.band AND own.j = 0)
               OR NOT jsonb_path_exists(value, 'strict $ ? (
                    @.n >= 1 && @.n < 1000000000 && @.n == @.n.floor() && @.m.size() == 9 && @.C.size() == 45
                    && !exists(@.m[*].abs() ? (@ > 10)) && !exists(@.C[*].abs() ? (@ > 10)))', silent => true));
END
$$;
