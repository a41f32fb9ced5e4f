-- For the security audit (`stillwave audit`): which rows should not be as they are, how many, never whose.
-- `check_id` is the check's own; `what` says where. The same list for SQLite: inspection/queries.sqlite.sql.
CREATE OR REPLACE FUNCTION rows_inspected(by_now timestamptz, demo_index text)
RETURNS TABLE (check_id text, what text, n bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    RETURN QUERY
    SELECT found.check_id, found.what, count(*)
    FROM (
        -- Sessions before feedback: partitions are locked in that order when months are made.
        SELECT 'consent.health' AS check_id, 'sessions of the last 30 days' AS what FROM sessions AS s
            WHERE start_time BETWEEN by_now - INTERVAL '30 days' AND by_now
              AND NOT EXISTS (SELECT FROM consents AS c
                              WHERE c.user_id = s.user_id AND purpose = 'health_data' AND given_at <= s.start_time
                                AND (withdrawn_at IS NULL OR withdrawn_at >= s.start_time))
        UNION ALL SELECT 'fields.sealed', 'users.email' FROM users WHERE left(email, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'users.phone_number' FROM users WHERE left(phone_number, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'neural_profiles.contraindications' FROM neural_profiles, unnest(contraindications) AS entry
            WHERE left(entry, 4) <> 'sw1.' AND left(entry, 8) <> 'adverse:'
        UNION ALL SELECT 'fields.sealed', 'progress_tracking.notes' FROM progress_tracking WHERE left(notes, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'session_feedback.feedback_text' FROM session_feedback WHERE left(feedback_text, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'second_factors.secret' FROM second_factors WHERE left(secret, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'screenings.answers' FROM screenings WHERE left(answers, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'clearances.statement' FROM clearances WHERE left(statement, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'idempotency_keys.body' FROM idempotency_keys WHERE left(body, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'emergency_accesses.reason' FROM emergency_accesses WHERE left(reason, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'promotion_rejects.original' FROM promotion_rejects WHERE left(original, 4) <> 'sw1.'
        UNION ALL SELECT 'fields.sealed', 'passkeys.name' FROM passkeys WHERE left(name, 4) <> 'sw1.'
        UNION ALL SELECT 'passwords.kind', 'accounts' FROM users
            WHERE account_status <> 'reset_required' AND left(password_hash, 10) <> '$argon2id$'
        UNION ALL SELECT 'passwords.cost', 'accounts' FROM users
            WHERE left(password_hash, 10) = '$argon2id$' AND left(password_hash, 31) <> '$argon2id$v=19$m=65536,t=3,p=4$'
        UNION ALL SELECT 'accounts.second_step', 'operators' FROM users AS u
            WHERE role = 'operator' AND account_status = 'active'
              AND NOT EXISTS (SELECT FROM second_factors AS f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
              AND NOT EXISTS (SELECT FROM passkeys AS p WHERE p.user_id = u.id)
        UNION ALL SELECT 'accounts.dormant', 'operators' FROM users
            WHERE role = 'operator' AND account_status = 'active'
              AND coalesce(last_login, created_at) < by_now - INTERVAL '90 days'
        UNION ALL SELECT 'accounts.logins', 'logins' FROM logins WHERE expires_at > created_at + INTERVAL '31 days'
        UNION ALL SELECT 'accounts.demo', 'accounts' FROM users WHERE email_index = demo_index::bpchar
        UNION ALL SELECT 'leak.job_errors', 'jobs' FROM jobs WHERE position('@' IN last_error) > 0
        UNION ALL SELECT 'erasure.jobs', 'jobs' FROM jobs AS j
            WHERE j.user_id <> '00000000-0000-0000-0000-000000000000' AND created_at < by_now - INTERVAL '1 day'
              AND NOT EXISTS (SELECT FROM users AS u WHERE u.id = j.user_id)
    ) AS found
    GROUP BY found.check_id, found.what
    UNION ALL SELECT 'fact', 'first_account', extract(epoch FROM min(created_at))::bigint FROM users HAVING count(*) > 0;
    PERFORM stillwave_leave(before);
END
$$;

-- Which wordings of consent are on record, and how often; never whose.
CREATE OR REPLACE FUNCTION consents_inspected()
RETURNS TABLE (purpose varchar, version integer, text_sha256 bpchar, n bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    RETURN QUERY SELECT c.purpose, c.version, c.text_sha256, count(*) FROM consents AS c GROUP BY 1, 2, 3;
    PERFORM stillwave_leave(before);
END
$$;
