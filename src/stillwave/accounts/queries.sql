-- name: insert_user!
INSERT INTO users (id, email, email_index, phone_number, phone_index, password_hash, created_at, updated_at,
                   account_status, subscription_tier, role)
VALUES (:id, :email, :email_index, :phone_number, :phone_index, :password_hash, :now, :now,
        :account_status, :subscription_tier, :role);

-- name: user_by_id
SELECT id, email, phone_number, password_hash, account_status, subscription_tier, role, created_at, last_login
FROM users WHERE id = :user_id;

-- name: all_users
SELECT id, email, phone_number, password_hash, account_status, subscription_tier, role, created_at, last_login
FROM users ORDER BY created_at, id LIMIT :most;

-- name: set_password!
UPDATE users SET password_hash = :password_hash, updated_at = :now,
    account_status = CASE WHEN account_status = 'reset_required' THEN 'active' ELSE account_status END
WHERE id = :user_id;

-- name: set_status!
UPDATE users SET account_status = :account_status, updated_at = :now WHERE id = :user_id;

-- name: set_tier!
UPDATE users SET subscription_tier = :subscription_tier, updated_at = :now WHERE id = :user_id;

-- name: set_role!
UPDATE users SET role = :role, updated_at = :now WHERE id = :user_id;

-- name: set_restricted!
UPDATE users SET processing_restricted = :restricted, updated_at = :now WHERE id = :user_id;

-- name: set_phone!
UPDATE users SET phone_number = :phone_number, phone_index = :phone_index, account_status = 'active',
    updated_at = :now
WHERE id = :user_id AND account_status = 'phone_required';

-- name: email_index_of
SELECT email_index FROM users WHERE id = :user_id;

-- name: set_address!
UPDATE users SET email = :email, email_index = :email_index, updated_at = :now
WHERE id = :user_id AND account_status = 'address_required';

-- name: set_contact!
UPDATE users SET email = :email, email_index = :email_index, phone_number = :phone_number, phone_index = :phone_index,
    updated_at = :now
WHERE id = :user_id;

-- name: set_last_login!
UPDATE users SET last_login = :now WHERE id = :user_id;

-- name: delete_user!
DELETE FROM users WHERE id = :user_id;

-- name: insert_login!
INSERT INTO logins (user_id, id, token_hash, device, created_at, last_seen_at, expires_at, step_due_by, two_steps)
VALUES (:user_id, :id, :token_hash, :device, :now, :now, :expires_at, :step_due_by, :two_steps);

-- name: asks_second_step
SELECT (SELECT count(*) FROM second_factors WHERE user_id = :user_id AND confirmed_at IS NOT NULL)
     + (SELECT count(*) FROM passkeys WHERE user_id = :user_id) AS n;

-- name: insert_proof!
INSERT INTO passkey_challenges (user_id, digest, expires_at) VALUES (:user_id, :digest, :expires_at);

-- name: use_proof!
DELETE FROM passkey_challenges WHERE user_id = :user_id AND digest = :digest AND expires_at > :now;

-- name: logins_of
SELECT id, device, created_at, last_seen_at FROM logins
WHERE user_id = :user_id AND expires_at > :now AND last_seen_at > :idle_since AND step_due_by IS NULL
ORDER BY last_seen_at DESC;

-- name: delete_login!
DELETE FROM logins WHERE user_id = :user_id AND id = :login_id;

-- name: delete_other_logins!
DELETE FROM logins WHERE user_id = :user_id AND id <> :keep;

-- name: delete_all_logins!
DELETE FROM logins WHERE user_id = :user_id;

-- name: delete_stale_logins!
DELETE FROM logins
WHERE user_id = :user_id AND (expires_at <= :now OR last_seen_at <= :idle_since OR step_due_by <= :now);

-- name: insert_recovery!
INSERT INTO recoveries (user_id, token_hash, created_at, expires_at)
VALUES (:user_id, :token_hash, :now, :expires_at);

-- name: use_recovery!
DELETE FROM recoveries WHERE user_id = :user_id AND token_hash = :token_hash AND expires_at > :now;

-- name: delete_recoveries!
DELETE FROM recoveries WHERE user_id = :user_id;

-- name: insert_consent!
INSERT INTO consents (user_id, id, purpose, version, text_sha256, given_at)
VALUES (:user_id, :id, :purpose, :version, :text_sha256, :now);

-- name: withdraw_consent!
UPDATE consents SET withdrawn_at = :now
WHERE user_id = :user_id AND purpose = :purpose AND withdrawn_at IS NULL;

-- name: consents_of
SELECT purpose, version, text_sha256, given_at, withdrawn_at FROM consents WHERE user_id = :user_id ORDER BY given_at, id;

-- name: insert_preferences!
INSERT INTO user_preferences (user_id, id, voice_preference, background_sound_type, preferred_duration,
                              morning_routine_time, evening_routine_time, time_zone)
VALUES (:user_id, :id, 'none', 'nature', 20, '07:30:00', '21:30:00', 'UTC')
ON CONFLICT DO NOTHING;

-- name: preferences_of
SELECT voice_preference, background_sound_type, preferred_duration, morning_routine_time,
       evening_routine_time, time_zone, notification_preferences
FROM user_preferences WHERE user_id = :user_id;

-- name: set_preferences!
UPDATE user_preferences SET voice_preference = :voice_preference,
    background_sound_type = :background_sound_type, preferred_duration = :preferred_duration,
    morning_routine_time = :morning_routine_time, evening_routine_time = :evening_routine_time,
    time_zone = :time_zone, notification_preferences = :notification_preferences
WHERE user_id = :user_id;
