-- Nothing that began after this moment may go by retention: a year before today (UTC) by the database's own clock,
-- so that no caller, and no wrong clock of the program, can make it later.
CREATE OR REPLACE FUNCTION retention_limit() RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT ((CURRENT_TIMESTAMP AT TIME ZONE 'UTC')::date - INTERVAL '1 year') AT TIME ZONE 'UTC'
$$;

-- The partitions of `sessions` that began before a moment, oldest first; the default partition comes first.
CREATE OR REPLACE FUNCTION expired_months(before timestamptz) RETURNS TABLE (name text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT relname::text
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'sessions'::regclass
      AND (relname = 'sessions_default'
           OR relname < 'sessions' || to_char(before AT TIME ZONE 'UTC', '"_y"YYYY"m"MM"x"'))
    ORDER BY relname <> 'sessions_default', relname
$$;

-- How many sessions retention would remove.
CREATE OR REPLACE FUNCTION expired_sessions(before timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    person text := stillwave_enter();
    found bigint := (
        SELECT count(*)
        FROM sessions JOIN users ON users.id = sessions.user_id
        WHERE start_time < least(before, retention_limit())
          AND subscription_tier <> 'premium' AND NOT processing_restricted);
BEGIN
    PERFORM stillwave_leave(person);
    RETURN found;
END
$$;

-- What is past its time in one partition of `sessions` is gone: the sessions, with their feedback and sound files.
-- Files are unlinked through the outbox. What was learned stays: a person's base is folded on over all that is older
-- than the month's end, so all of that goes in the same transaction.
--   A month that is over and in which nothing stays is dropped, with the partitions of feedback and sound files.
--   One in which little stays is made anew with what stays, and the old one dropped: no row is deleted.
--   Else rows are deleted, of at most `most` people (NULL: all), so that a caller goes on in small transactions.
-- Returns how many sessions went, and of how many people: as many as `most` means that another call may find more.
-- Nothing for a month that is not there (any more), or not due.
CREATE OR REPLACE FUNCTION retire_month(
    name text, before timestamptz, most integer, OUT gone bigint, OUT people bigint, OUT dropped boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    person text := stillwave_enter();
    suffix text := substr(name, length('sessions') + 1);
    first_of timestamptz;
    horizon timestamptz;
    earlier bigint;
    parent text;
    part text;
    total bigint;
    whole boolean;
    kept constant text := 'EXISTS (SELECT FROM users WHERE users.id = old.user_id'
                          ' AND (subscription_tier = ''premium'' OR processing_restricted))';
BEGIN
    before := least(before, retention_limit());
    gone := 0;
    people := 0;
    dropped := false;
    IF retire_month.name NOT IN (SELECT months.name FROM expired_months(before) AS months) THEN
        PERFORM stillwave_leave(person);
        RETURN;
    END IF;
    horizon := before;
    IF name <> 'sessions_default' THEN
        first_of := make_timestamptz(substr(suffix, 3, 4)::integer, substr(suffix, 8, 2)::integer, 1, 0, 0, 0, 'UTC');
        horizon := least(before, ((first_of AT TIME ZONE 'UTC') + INTERVAL '1 month') AT TIME ZONE 'UTC');
    END IF;
    EXECUTE 'SELECT count(*), count(*) FILTER (WHERE start_time < $1 AND NOT ' || kept || ') FROM '
        || quote_ident(name) || ' AS old' INTO total, gone USING before;
    whole := first_of IS NOT NULL AND horizon < before
        AND to_regclass('session_feedback' || suffix) IS NOT NULL
        AND to_regclass('audio_files' || suffix) IS NOT NULL
        AND (gone = total OR gone >= 1000 AND gone >= 3 * (total - gone));
    IF gone = 0 AND (total > 0 OR NOT whole) THEN
        PERFORM stillwave_leave(person);
        RETURN;
    END IF;
    EXECUTE 'INSERT INTO learning_pause (user_id, keep_before) SELECT DISTINCT user_id, $1 FROM ' || quote_ident(name)
        || ' AS old WHERE start_time < $1 AND NOT ' || kept || ' ORDER BY user_id LIMIT $2'
        USING horizon, CASE WHEN whole THEN NULL ELSE most END;
    GET DIAGNOSTICS people = ROW_COUNT;
    IF NOT whole THEN
        DELETE FROM sessions AS old
        WHERE old.user_id IN (SELECT user_id FROM learning_pause) AND start_time < horizon;
        GET DIAGNOSTICS gone = ROW_COUNT;
        DELETE FROM learning_pause;
        PERFORM stillwave_leave(person);
        RETURN;
    END IF;

    -- Months are done oldest first, so there is hardly ever something older left.
    DELETE FROM sessions AS old WHERE old.user_id IN (SELECT user_id FROM learning_pause) AND start_time < first_of;
    GET DIAGNOSTICS earlier = ROW_COUNT;
    -- Reading goes on meanwhile; whoever wants to write into this month waits.
    FOREACH parent IN ARRAY ARRAY['sessions', 'session_feedback', 'audio_files'] LOOP
        EXECUTE 'LOCK TABLE ' || quote_ident(parent || suffix) || ' IN SHARE ROW EXCLUSIVE MODE';
        IF gone < total THEN
            part := quote_ident(parent || suffix || '_new');
            EXECUTE 'CREATE TABLE ' || part || ' (LIKE ' || quote_ident(parent) || ' INCLUDING ALL)';
            EXECUTE 'INSERT INTO ' || part || ' SELECT * FROM ' || quote_ident(parent || suffix)
                || ' AS old WHERE ' || kept;
        END IF;
    END LOOP;
    EXECUTE 'INSERT INTO unlink_outbox (user_id, file_path) SELECT user_id, file_path FROM '
        || quote_ident('audio_files' || suffix) || ' AS old WHERE NOT ' || kept;
    DELETE FROM learning_pause;

    EXECUTE 'DROP TABLE ' || quote_ident('session_feedback' || suffix);
    EXECUTE 'DROP TABLE ' || quote_ident('audio_files' || suffix);
    -- Not concurrently: PostgreSQL refuses that where there is a default partition.
    EXECUTE 'ALTER TABLE sessions DETACH PARTITION ' || quote_ident(name);
    EXECUTE 'DROP TABLE ' || quote_ident(name);
    IF gone < total THEN
        FOREACH parent IN ARRAY ARRAY['sessions', 'session_feedback', 'audio_files'] LOOP
            EXECUTE 'ALTER TABLE ' || quote_ident(parent || suffix || '_new')
                || ' RENAME TO ' || quote_ident(parent || suffix);
            PERFORM attach_month(parent, suffix);
        END LOOP;
    END IF;
    gone := gone + earlier;
    people := 0;
    dropped := true;
    PERFORM stillwave_leave(person);
END
$$;
