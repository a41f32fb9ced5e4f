-- The narrow ways past row-level security, each for one question that nobody's rows can answer.
-- They run as the owner with a fixed search path. stillwave_enter() matters only where one role does everything.

-- Signing in: whoever knows the keyed digest of an address finds its one account. Digests cannot be guessed.
CREATE OR REPLACE FUNCTION account_of_email(wanted text) RETURNS TABLE (
    id uuid, email text, phone_number text, password_hash varchar, account_status varchar,
    subscription_tier varchar, role varchar, created_at timestamptz, last_login timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    RETURN QUERY
    SELECT u.id, u.email, u.phone_number, u.password_hash, u.account_status, u.subscription_tier, u.role,
           u.created_at, u.last_login
    FROM users AS u WHERE u.email_index = wanted::bpchar;
    PERFORM stillwave_leave(before);
END
$$;

-- Signing up: whether one of the two has an account. One answer for both, as the unique indexes give.
CREATE OR REPLACE FUNCTION contact_taken(wanted_email text, wanted_phone text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
    found boolean := EXISTS (
        SELECT FROM users WHERE email_index = wanted_email::bpchar OR phone_index = wanted_phone::bpchar);
BEGIN
    PERFORM stillwave_leave(before);
    RETURN found;
END
$$;

-- The operator's page: how many, never who.
CREATE OR REPLACE FUNCTION people_counted(OUT total bigint, OUT active bigint, OUT premium bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    SELECT count(*), count(*) FILTER (WHERE account_status = 'active'),
           count(*) FILTER (WHERE subscription_tier = 'premium')
    INTO total, active, premium FROM users;
    PERFORM stillwave_leave(before);
END
$$;

-- Health: sessions stored, sound files waiting to be removed, rows in no month of their own, and how many months
-- from that of `today` on have all three partitions.
CREATE OR REPLACE FUNCTION house_counted(
    today date, OUT sessions bigint, OUT waiting bigint, OUT strays bigint, OUT months_ahead integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    SELECT (SELECT count(*) FROM sessions),
           (SELECT count(*) FROM unlink_outbox),
           (SELECT count(*) FROM sessions_default) + (SELECT count(*) FROM session_feedback_default)
               + (SELECT count(*) FROM audio_files_default),
           (SELECT coalesce(min(ahead) FILTER (WHERE NOT made), 25)::integer
            FROM (SELECT ahead,
                         to_regclass('sessions' || suffix) IS NOT NULL
                         AND to_regclass('session_feedback' || suffix) IS NOT NULL
                         AND to_regclass('audio_files' || suffix) IS NOT NULL AS made
                  FROM generate_series(0, 24) AS ahead,
                       to_char(date_trunc('month', today::timestamp) + ahead * INTERVAL '1 month', '"_y"YYYY"m"MM')
                           AS suffix) AS months)
    INTO sessions, waiting, strays, months_ahead;
    PERFORM stillwave_leave(before);
END
$$;

-- The operator's page: how many people wait to be erased, never who.
CREATE OR REPLACE FUNCTION erasures_counted() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
    found bigint := (SELECT count(*) FROM erasures);
BEGIN
    PERFORM stillwave_leave(before);
    RETURN found;
END
$$;

-- Whose erasure is final, for housekeeping.
CREATE OR REPLACE FUNCTION due_erasures(by_now timestamptz, most integer) RETURNS TABLE (user_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    RETURN QUERY SELECT e.user_id FROM erasures e WHERE e.final_at <= by_now ORDER BY e.final_at LIMIT most;
    PERFORM stillwave_leave(before);
END
$$;

-- Days of the person this transaction acts for that hold a metric, newest first. A function, because the operator
-- `?` may not use an index beneath row-level security: it is not leakproof, so the rows of others would have to be
-- sorted out first. The owner has no such barrier, and the condition on the person is written out.
CREATE OR REPLACE FUNCTION days_with_metric(metric text, first date, last date) RETURNS TABLE (
    id uuid, date date, metrics jsonb, notes text, sleep_quality integer, stress_level integer, focus_score integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT day.id, day.date, day.metrics, day.notes, day.sleep_quality, day.stress_level, day.focus_score
    FROM progress_tracking AS day
    WHERE day.user_id = stillwave_person() AND day.metrics ? metric AND day.date BETWEEN first AND last
    ORDER BY day.date DESC
$$;

-- Whose reminder is due, for housekeeping. Who is switched off, paused or took the consent back is not among them.
CREATE OR REPLACE FUNCTION due_reminders(by_now timestamptz, most integer) RETURNS TABLE (user_id uuid, kind varchar)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    before text := stillwave_enter();
BEGIN
    RETURN QUERY
    SELECT r.user_id, r.kind FROM reminders r JOIN users u ON u.id = r.user_id
    WHERE r.next_at <= by_now AND u.account_status = 'active' AND NOT u.processing_restricted
      AND EXISTS (SELECT FROM consents c
                  WHERE c.user_id = r.user_id AND c.purpose = 'reminders' AND c.withdrawn_at IS NULL)
    ORDER BY r.next_at, r.user_id LIMIT most;
    PERFORM stillwave_leave(before);
END
$$;
