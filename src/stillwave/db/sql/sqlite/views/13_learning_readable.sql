-- The people whose base_frequency_response is of the expected shape. Others, and those of version 1, are rebuilt from
-- their feedback, so that a damaged profile never makes a feedback fail. The twin of curve.parse().
DROP VIEW IF EXISTS learning_readable;
CREATE VIEW learning_readable AS
SELECT user_id
FROM neural_profiles
WHERE json_type(base_frequency_response) = 'object'
  AND json_extract(base_frequency_response, '$.v') = 2
  AND json_type(base_frequency_response, '$.n') = 'integer'
  AND json_type(base_frequency_response, '$.nt') = 'integer'
  AND json_extract(base_frequency_response, '$.n') BETWEEN 0 AND 999999999
  AND json_extract(base_frequency_response, '$.nt') BETWEEN 0 AND 999999999
  AND json_type(base_frequency_response, '$.sens') IN ('integer', 'real')
  AND json_type(base_frequency_response, '$.trans') IN ('integer', 'real')
  AND json_type(base_frequency_response, '$.vol') IN ('integer', 'real')
  AND json_extract(base_frequency_response, '$.sens') BETWEEN 1 AND 10
  AND json_extract(base_frequency_response, '$.trans') BETWEEN 60 AND 900
  AND json_extract(base_frequency_response, '$.vol') BETWEEN 10 AND 70
  AND json_type(base_frequency_response, '$.bands') = 'object'
  AND json_type(base_frequency_response, '$.groups') = 'object'
  AND NOT EXISTS (
      SELECT 1
      FROM (SELECT 'bands' AS place, key, type, value FROM json_each(base_frequency_response, '$.bands')
            UNION ALL
            SELECT 'groups', key, type, value FROM json_each(base_frequency_response, '$.groups')) AS curve
      WHERE place = 'bands' AND curve.key NOT IN (SELECT band FROM learning_band)
         OR place = 'groups'
            AND curve.key NOT IN (SELECT state_group || '_' || band FROM learning_group_prior WHERE j = 0)
         OR curve.type <> 'object'
         OR json_type(curve.value, '$.n') IS NOT 'integer'
         OR json_extract(curve.value, '$.n') NOT BETWEEN 1 AND 999999999
         OR json_type(curve.value, '$.m') IS NOT 'array'
         OR json_type(curve.value, '$.C') IS NOT 'array'
         OR json_array_length(curve.value, '$.m') <> 9
         OR json_array_length(curve.value, '$.C') <> 45
         OR EXISTS (SELECT 1 FROM json_each(curve.value, '$.m')
                    WHERE type NOT IN ('integer', 'real') OR abs(value) > 10)
         OR EXISTS (SELECT 1 FROM json_each(curve.value, '$.C')
                    WHERE type NOT IN ('integer', 'real') OR abs(value) > 10));
