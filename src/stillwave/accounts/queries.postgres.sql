-- Asked by nobody in particular, so each has a narrow way past row-level security: functions/82_narrow_ways.sql.

-- name: user_by_email
SELECT id, email, phone_number, password_hash, account_status, subscription_tier, role, created_at, last_login
FROM account_of_email(:email_index);

-- name: taken
SELECT contact_taken(:email_index, :phone_index) AS taken;

-- name: count_people
SELECT total, active, premium FROM people_counted();
