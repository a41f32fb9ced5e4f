-- name: rows_inspected
-- Which rows should not be as they are, and how many. The same list for PostgreSQL: functions/84_rows_inspected.sql.
SELECT check_id, what, count(*) AS n FROM (
    SELECT 'fields.sealed' AS check_id, 'users.email' AS what FROM users WHERE email NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'users.phone_number' FROM users WHERE phone_number NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'neural_profiles.contraindications' FROM neural_profiles, json_each(contraindications) AS entry
        WHERE entry.value NOT GLOB 'sw1.*' AND entry.value NOT GLOB 'adverse:*'
    UNION ALL SELECT 'fields.sealed', 'progress_tracking.notes' FROM progress_tracking WHERE notes NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'session_feedback.feedback_text' FROM session_feedback WHERE feedback_text NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'second_factors.secret' FROM second_factors WHERE secret NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'screenings.answers' FROM screenings WHERE answers NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'clearances.statement' FROM clearances WHERE statement NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'idempotency_keys.body' FROM idempotency_keys WHERE body NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'emergency_accesses.reason' FROM emergency_accesses WHERE reason NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'promotion_rejects.original' FROM promotion_rejects WHERE original NOT GLOB 'sw1.*'
    UNION ALL SELECT 'fields.sealed', 'passkeys.name' FROM passkeys WHERE name NOT GLOB 'sw1.*'
    UNION ALL SELECT 'passwords.kind', 'accounts' FROM users
        WHERE account_status <> 'reset_required' AND password_hash NOT GLOB '$argon2id$*'
    UNION ALL SELECT 'passwords.cost', 'accounts' FROM users
        WHERE password_hash GLOB '$argon2id$*' AND password_hash NOT GLOB '$argon2id$v=19$m=65536,t=3,p=4$*'
    UNION ALL SELECT 'accounts.second_step', 'operators' FROM users AS u
        WHERE role = 'operator' AND account_status = 'active'
          AND NOT EXISTS (SELECT 1 FROM second_factors AS f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM passkeys AS p WHERE p.user_id = u.id)
    UNION ALL SELECT 'accounts.dormant', 'operators' FROM users
        WHERE role = 'operator' AND account_status = 'active'
          AND julianday(coalesce(last_login, created_at)) < julianday(:now) - 90
    UNION ALL SELECT 'accounts.logins', 'logins' FROM logins WHERE julianday(expires_at) > julianday(created_at) + 31
    UNION ALL SELECT 'accounts.demo', 'accounts' FROM users WHERE email_index = :demo_index
    UNION ALL SELECT 'consent.health', 'sessions of the last 30 days' FROM sessions AS s
        WHERE start_time <= :now AND start_time >= strftime('%Y-%m-%dT%H:%M:%fZ', :now, '-30 days')
          AND NOT EXISTS (SELECT 1 FROM consents AS c
                          WHERE c.user_id = s.user_id AND purpose = 'health_data' AND given_at <= s.start_time
                            AND (withdrawn_at IS NULL OR withdrawn_at >= s.start_time))
    UNION ALL SELECT 'leak.job_errors', 'jobs' FROM jobs WHERE last_error LIKE '%@%'
    UNION ALL SELECT 'erasure.jobs', 'jobs' FROM jobs AS j
        WHERE j.user_id <> '00000000-0000-0000-0000-000000000000' AND julianday(created_at) < julianday(:now) - 1
          AND NOT EXISTS (SELECT 1 FROM users AS u WHERE u.id = j.user_id)
) GROUP BY check_id, what
UNION ALL SELECT 'fact', 'first_account', CAST(strftime('%s', min(created_at)) AS INTEGER) FROM users HAVING count(*) > 0;

-- name: consents_inspected
SELECT purpose, version, text_sha256, count(*) AS n FROM consents GROUP BY 1, 2, 3;

-- name: engine_version
-- The engine comes inside of the package, whose version is looked at.
SELECT 0 AS major, 0 AS minor;

-- name: house_inspected
-- SQLite has no roles: what is left is rows without their person, triggers, and checks.
SELECT 'erasure.cascade' AS check_id, "table" AS what FROM pragma_foreign_key_check WHERE :cascading IS NOT NULL
UNION ALL SELECT 'schema.triggers', wanted.value || ' is missing' FROM json_each(:triggers) AS wanted
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = wanted.value)
UNION ALL SELECT 'fields.checks', wanted.value FROM json_each(:checks) AS wanted
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND instr(sql, 'CONSTRAINT ' || wanted.value || ' CHECK') > 0);

-- name: months_inspected
-- No row lies outside of its month, and no month is wanted ahead.
SELECT 0 AS strays, NULL AS months_ahead, :today AS today;

-- name: some_people
SELECT user_id FROM audit_heads ORDER BY user_id DESC LIMIT :most;
