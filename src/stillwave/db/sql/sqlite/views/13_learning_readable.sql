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
      FROM (SELECT key, fullkey, key IN (SELECT band FROM learning_band) AS known
            FROM json_each(base_frequency_response, '$.bands')
            UNION ALL
            SELECT key, fullkey, key IN (SELECT state_group || '_' || band FROM learning_group_prior WHERE j = 0)
            FROM json_each(base_frequency_response, '$.groups'))
      WHERE CASE WHEN known THEN  -- else its path might not be one
                json_type(base_frequency_response, fullkey || '.n') IS NOT 'integer'
                OR json_extract(base_frequency_response, fullkey || '.n') NOT BETWEEN 1 AND 999999999
                OR json_array_length(base_frequency_response, fullkey || '.m') IS NOT 9
                OR json_array_length(base_frequency_response, fullkey || '.C') IS NOT 45
            ELSE true END)
  AND NOT EXISTS (  -- all that stands in a list
      SELECT 1 FROM json_tree(base_frequency_response)
      WHERE typeof(key) = 'integer' AND (type NOT IN ('integer', 'real') OR atom NOT BETWEEN -10 AND 10));
