-- Where a person's fold begins: with what retention kept, else with nothing.
DROP VIEW IF EXISTS learning_origin;
CREATE VIEW learning_origin AS
SELECT users.id AS user_id,
       coalesce(
           (SELECT state FROM learning_base WHERE user_id = users.id AND json_extract(state, '$.v') = 2),
           '{"v":2,"n":0,"sens":5.0,"trans":240.0,"vol":45.0,"nt":0,"bands":{},"groups":{}}') AS state,
       '' AS folded_at,
       '' AS folded_id
FROM users;
