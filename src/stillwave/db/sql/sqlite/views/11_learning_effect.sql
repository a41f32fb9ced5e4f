-- What was reported, one row per effect of a feedback. The twin of effects.reported() in profiles/effects.py:
-- an object is read as key: severity, an array of keys as every key being true.
DROP VIEW IF EXISTS learning_effect;
CREATE VIEW learning_effect AS
SELECT user_id,
       feedback_id,
       effect,
       coalesce((SELECT kind FROM effect_vocabulary WHERE effect_vocabulary.effect = said.effect), 'adverse') AS kind,
       CASE
           WHEN type IN ('null', 'false') THEN 0.0
           WHEN type IN ('integer', 'real') THEN
               CASE WHEN value < 0.01 THEN 0.0 WHEN value > 3 THEN 3.0 ELSE value * 1.0 END
           WHEN type = 'text' THEN
               CASE value WHEN 'none' THEN 0.0 WHEN 'moderate' THEN 2.0 WHEN 'severe' THEN 3.0 ELSE 1.0 END
           ELSE 1.0
       END AS severity
FROM (
    SELECT feedback.user_id,
           feedback.id AS feedback_id,
           CASE part.type WHEN 'object' THEN item.key ELSE item.value END AS effect,
           CASE part.type WHEN 'object' THEN item.type ELSE 'true' END AS type,
           item.value
    FROM session_feedback AS feedback
    CROSS JOIN json_each(json_array(json(feedback.physical_effects), json(feedback.mental_effects))) AS part
    CROSS JOIN json_each(CASE WHEN part.type IN ('object', 'array') THEN part.value ELSE '{}' END) AS item
    WHERE part.type = 'object' OR item.type = 'text'
) AS said;
