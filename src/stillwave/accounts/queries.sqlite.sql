-- name: user_by_email
SELECT id, email, phone_number, password_hash, account_status, subscription_tier, role, created_at, last_login
FROM users WHERE email_index = :email_index;

-- name: taken
SELECT EXISTS (SELECT 1 FROM users WHERE email_index = :email_index OR phone_index = :phone_index) AS taken;

-- name: count_people
SELECT count(*) AS total,
       count(CASE WHEN account_status = 'active' THEN 1 END) AS active,
       count(CASE WHEN subscription_tier = 'premium' THEN 1 END) AS premium
FROM users;
