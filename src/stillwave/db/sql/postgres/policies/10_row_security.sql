-- Who may see and change which rows. Applied again whenever this file changes; new partitions come here too.
--
-- person   the rows of the person this transaction acts for. No person, no rows.
-- house    stillwave_owner sees all: definer functions and migrations. Where one role does everything, a
--          transaction that says that it acts for the house.
-- Force is on everywhere, so that the owner of a table has no way past it.
CREATE OR REPLACE FUNCTION protect_table(target regclass) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
DECLARE
    roles boolean := (SELECT relowner = to_regrole('stillwave_owner') FROM pg_class WHERE oid = target);
    partition boolean := (SELECT relispartition FROM pg_class WHERE oid = target);
    root name := (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(target), target));
    whose text := (SELECT attname FROM pg_attribute
                   WHERE attrelid = target AND NOT attisdropped
                     AND attname = CASE root WHEN 'users' THEN 'id' ELSE 'user_id' END);
    house text := CASE WHEN roles THEN 'TO stillwave_owner USING (true) WITH CHECK (true)'
                       ELSE 'USING (stillwave_house()) WITH CHECK (stillwave_house())' END;
    old name;
BEGIN
    EXECUTE 'ALTER TABLE ' || target || ' ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY';
    FOR old IN SELECT polname FROM pg_policy WHERE polrelid = target LOOP
        EXECUTE 'DROP POLICY ' || quote_ident(old) || ' ON ' || target;
    END LOOP;
    EXECUTE 'CREATE POLICY house ON ' || target || ' ' || house;
    IF whose IS NULL THEN
        EXECUTE 'CREATE POLICY everybody ON ' || target || ' FOR SELECT USING (true)';
    ELSE
        EXECUTE 'CREATE POLICY person ON ' || target || ' USING (' || whose || ' = stillwave_person())'
                || ' WITH CHECK (' || whose || ' = stillwave_person())';
    END IF;
    IF NOT roles THEN
        RETURN;
    END IF;
    EXECUTE 'CREATE POLICY backup ON ' || target || ' FOR SELECT TO stillwave_backup USING (true)';
    EXECUTE 'REVOKE ALL ON ' || target
        || ' FROM PUBLIC, stillwave_app, stillwave_retention, stillwave_auditor, stillwave_backup';
    EXECUTE 'GRANT SELECT ON ' || target || ' TO stillwave_backup';
    IF partition THEN
        RETURN;  -- reached through its table only
    END IF;
    IF whose IS NULL THEN
        EXECUTE 'GRANT SELECT ON ' || target || ' TO stillwave_app, stillwave_auditor, stillwave_retention';
    ELSE
        EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON ' || target || ' TO stillwave_app';
    END IF;
END
$$;

DO $$
DECLARE
    roles boolean := (SELECT relowner = to_regrole('stillwave_owner') FROM pg_class WHERE oid = 'users'::regclass);
    target record;
BEGIN
    FOR target IN
        SELECT oid::regclass AS id FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
    LOOP
        PERFORM protect_table(target.id);
    END LOOP;
    FOR target IN
        SELECT oid::regprocedure AS id FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND (prosecdef OR proname = 'protect_table')
    LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION ' || target.id || ' FROM PUBLIC';
    END LOOP;
    IF NOT roles THEN
        RETURN;
    END IF;

    -- The app makes listeners, and never changes what only operators decide.
    CREATE POLICY plain ON users AS RESTRICTIVE FOR INSERT TO stillwave_app
        WITH CHECK (role = 'listener' AND subscription_tier = 'free');
    REVOKE UPDATE ON users FROM stillwave_app;
    GRANT UPDATE (email, email_index, phone_number, phone_index, password_hash, updated_at, last_login,
                  account_status, processing_restricted) ON users TO stillwave_app;

    -- Housekeeping sees when something ends, and nothing of what it says.
    FOR target IN SELECT unnest(ARRAY['logins', 'recoveries', 'idempotency_keys', 'unlink_outbox', 'passkey_challenges'])::regclass AS id LOOP
        EXECUTE 'CREATE POLICY retention ON ' || target.id || ' TO stillwave_retention USING (true)';
        EXECUTE 'GRANT DELETE ON ' || target.id || ' TO stillwave_retention';
    END LOOP;
    GRANT SELECT (user_id, id, last_seen_at, expires_at, step_due_by) ON logins TO stillwave_retention;
    GRANT SELECT (user_id, token_hash, expires_at) ON recoveries TO stillwave_retention;
    GRANT SELECT (user_id, key, created_at) ON idempotency_keys TO stillwave_retention;
    GRANT SELECT (user_id, digest, expires_at) ON passkey_challenges TO stillwave_retention;
    GRANT SELECT (user_id, id, file_path) ON unlink_outbox TO stillwave_retention;
    -- Which files have a row, and whose audit log holds events past their time.
    CREATE POLICY retention ON audio_files FOR SELECT TO stillwave_retention USING (true);
    GRANT SELECT (file_path) ON audio_files TO stillwave_retention;
    CREATE POLICY retention ON audit_events FOR SELECT TO stillwave_retention USING (true);
    GRANT SELECT (user_id, seq, at) ON audit_events TO stillwave_retention;
    -- The audit log only grows. Housekeeping alone takes away what is older than six years, by the database's clock;
    -- it adds the event that says so to the chain of the person it acts for, and writes down where every chain ends.
    REVOKE UPDATE, DELETE ON audit_events FROM stillwave_app;
    REVOKE DELETE ON audit_heads FROM stillwave_app;
    CREATE POLICY outlived ON audit_events AS RESTRICTIVE FOR DELETE TO stillwave_retention
        USING (at < CURRENT_TIMESTAMP - INTERVAL '6 years');
    GRANT INSERT, DELETE ON audit_events TO stillwave_retention;
    CREATE POLICY retention ON audit_heads FOR SELECT TO stillwave_retention USING (true);
    GRANT SELECT, INSERT, UPDATE (seq, mac) ON audit_heads TO stillwave_retention;
    -- Reports of security audits are added, kept for six years, and never changed.
    CREATE POLICY retention ON inspections FOR INSERT TO stillwave_retention WITH CHECK (true);
    CREATE POLICY outlived ON inspections FOR DELETE TO stillwave_retention
        USING (at < CURRENT_TIMESTAMP - INTERVAL '6 years');
    GRANT INSERT, DELETE ON inspections TO stillwave_retention;
    -- The operator's page shows who looks at whose data in an emergency, and until when; the reason is the person's.
    CREATE POLICY retention ON emergency_accesses FOR SELECT TO stillwave_retention USING (true);
    GRANT SELECT (user_id, id, operator_id, created_at, expires_at, ended_at) ON emergency_accesses TO stillwave_retention;
    -- The worker takes anybody's work: kinds, ids and times, no values.
    CREATE POLICY retention ON jobs TO stillwave_retention USING (true);
    GRANT SELECT, UPDATE, DELETE ON jobs TO stillwave_retention;
    GRANT INSERT, UPDATE ON installation TO stillwave_retention;
    CREATE POLICY retention ON installation TO stillwave_retention
        USING (starts_with(name, 'clock_')) WITH CHECK (starts_with(name, 'clock_'));

    GRANT SELECT ON user_progress_summary, recent_session_analysis, learning_feedback TO stillwave_app;
    GRANT EXECUTE ON FUNCTION account_of_email(text), contact_taken(text, text), days_with_metric(text, date, date)
        TO stillwave_app;
    GRANT EXECUTE ON FUNCTION people_counted(), erasures_counted(), house_counted(date)
        TO stillwave_app, stillwave_auditor, stillwave_retention;
    GRANT EXECUTE ON FUNCTION cleanup_old_sessions(), retire_month(text, timestamptz, integer), expired_months(timestamptz),
        expired_sessions(timestamptz), ensure_partitions(date, date), due_reminders(timestamptz, integer),
        due_erasures(timestamptz, integer), forget_metric_names(timestamptz) TO stillwave_retention;
    GRANT EXECUTE ON FUNCTION rows_inspected(timestamptz, text), consents_inspected() TO stillwave_auditor, stillwave_retention;
END
$$;
