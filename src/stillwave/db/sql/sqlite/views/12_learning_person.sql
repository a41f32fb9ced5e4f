-- The people whose profile may move: not a disabled account, not while processing is restricted, not with
-- adaptation switched off. (An erased person is in no row.)
DROP VIEW IF EXISTS learning_person;
CREATE VIEW learning_person AS
SELECT id AS user_id
FROM users
WHERE processing_restricted = 0
  AND account_status <> 'disabled'
  AND NOT EXISTS (SELECT 1 FROM neural_profiles WHERE user_id = users.id AND adaptation_on = 0);
