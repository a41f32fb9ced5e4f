-- What was reported, one row per effect. The twin of effects.reported() in profiles/effects.py.

-- 0 (none) to 3 (severe). Numbers are compared before they become floats: 1e400 is valid JSON, but no float.
CREATE OR REPLACE FUNCTION learning_severity(value jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'null' THEN 0
        WHEN 'boolean' THEN CASE WHEN value = 'true' THEN 1 ELSE 0 END
        WHEN 'number' THEN CASE
            WHEN value::numeric < 0.01 THEN 0
            WHEN value::numeric > 3 THEN 3
            ELSE value::double precision
        END
        WHEN 'string' THEN CASE value #>> '{}'
            WHEN 'none' THEN 0
            WHEN 'moderate' THEN 2
            WHEN 'severe' THEN 3
            ELSE 1
        END
        ELSE 1
    END
$$;

-- An object is read as key: severity, an array of keys as every key being true.
CREATE OR REPLACE FUNCTION learning_effects(physical jsonb, mental jsonb)
RETURNS TABLE (effect text, kind text, severity double precision)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT said.key, coalesce(vocabulary.kind, 'adverse'), learning_severity(said.value)
    FROM (VALUES (physical), (mental)) AS part (effects)
    CROSS JOIN LATERAL (
        SELECT key, value FROM jsonb_each(CASE jsonb_typeof(effects) WHEN 'object' THEN effects END)
        UNION ALL
        SELECT value #>> '{}', 'true'
        FROM jsonb_array_elements(CASE jsonb_typeof(effects) WHEN 'array' THEN effects END)
        WHERE jsonb_typeof(value) = 'string'
    ) AS said
    LEFT JOIN effect_vocabulary AS vocabulary ON vocabulary.effect = said.key
$$;

-- Red flags as contraindications, sorted. (PL/pgSQL, here and below, where a plan is worth keeping: SQL functions
-- that are not inlined are planned at every call.)
CREATE OR REPLACE FUNCTION learning_red_flags(physical jsonb, mental jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(SELECT DISTINCT 'adverse:' || effect AS flag
                 FROM learning_effects(physical, mental)
                 WHERE kind = 'red_flag' AND severity > 0
                 ORDER BY flag);
END
$$;
