-- The table `parent || suffix` becomes the partition of its month, under the same row-level security.
-- Attaching lets readers and writers of other months go on, which making it in place would not.
CREATE OR REPLACE FUNCTION attach_month(parent text, suffix text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
DECLARE
    month timestamp := to_timestamp(suffix, '"_y"YYYY"m"MM') AT TIME ZONE current_setting('TimeZone');
    part text := quote_ident(parent || suffix);
BEGIN
    EXECUTE 'ALTER TABLE ' || quote_ident(parent) || ' ATTACH PARTITION ' || part
        || ' FOR VALUES FROM (' || quote_literal(to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00')
        || ') TO (' || quote_literal(to_char(month + INTERVAL '1 month', 'YYYY-MM-DD') || ' 00:00:00+00') || ')';
    PERFORM protect_table(part::regclass);
END
$$;

-- Afterwards the three tables have a partition for every UTC month from that of first_day to that of last_day.
-- Returns how many were made. Idempotent, and two callers wait for each other.
-- Rows of such a month that lie in a default partition are moved into it. For that moment the default partitions
-- are taken off, so that foreign keys do not stand between the three and no trigger sees rows come and go.
CREATE OR REPLACE FUNCTION ensure_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    person text := stillwave_enter();
    parents constant text[] := ARRAY['sessions', 'session_feedback', 'audio_files'];
    parent text;
    suffix text;
    missing text[];
    strays boolean := false;
    found boolean;
    made integer := 0;
BEGIN
    IF first_day IS NULL OR last_day IS NULL OR last_day < first_day OR last_day - first_day > 3700 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'ensure_partitions needs a first and a last day in order, at most ten years apart';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('stillwave.ensure_partitions'));
    missing := ARRAY(
        SELECT wanted.parent || to_char(month, '"_y"YYYY"m"MM')
        FROM generate_series(date_trunc('month', first_day::timestamp), last_day::timestamp, INTERVAL '1 month') AS month
        CROSS JOIN unnest(parents) WITH ORDINALITY AS wanted (parent, place)
        WHERE to_regclass(wanted.parent || to_char(month, '"_y"YYYY"m"MM')) IS NULL
        ORDER BY wanted.place, month);  -- sessions first: the others refer to them
    IF missing = '{}' THEN
        PERFORM stillwave_leave(person);
        RETURN 0;
    END IF;
    FOREACH parent IN ARRAY parents LOOP
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || quote_ident(parent || '_default') || ' WHERE ' || quote_literal(parent)
            || ' || to_char(' || month_column(parent) || ' AT TIME ZONE ''UTC'', ''"_y"YYYY"m"MM'') = ANY ($1))'
            INTO found USING missing;
        strays := strays OR found;
    END LOOP;
    IF strays THEN
        PERFORM detach_default('session_feedback'), detach_default('audio_files'), detach_default('sessions');
    END IF;
    FOR parent, suffix IN SELECT split_part(name, '_y', 1), '_y' || split_part(name, '_y', 2)
                          FROM unnest(missing) WITH ORDINALITY AS m (name, place) ORDER BY place LOOP
        EXECUTE 'CREATE TABLE ' || quote_ident(parent || suffix) || ' (LIKE ' || quote_ident(parent) || ' INCLUDING ALL)';
        IF strays THEN
            EXECUTE 'WITH moved AS (DELETE FROM ' || quote_ident(parent || '_default') || ' WHERE to_char('
                || month_column(parent) || ' AT TIME ZONE ''UTC'', ''"_y"YYYY"m"MM'') = $1 RETURNING *) INSERT INTO '
                || quote_ident(parent || suffix) || ' SELECT * FROM moved' USING suffix;
        END IF;
        PERFORM attach_month(parent, suffix);
        made := made + 1;
    END LOOP;
    IF strays THEN
        FOREACH parent IN ARRAY parents LOOP
            EXECUTE 'ALTER TABLE ' || quote_ident(parent) || ' ATTACH PARTITION '
                || quote_ident(parent || '_default') || ' DEFAULT';
        END LOOP;
    END IF;
    PERFORM stillwave_leave(person);
    RETURN made;
END
$$;

CREATE OR REPLACE FUNCTION month_column(parent text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE parent WHEN 'sessions' THEN 'start_time' ELSE 'session_start_time' END
$$;

-- The default partition stands alone, without foreign keys, so that rows can be taken out of it.
CREATE OR REPLACE FUNCTION detach_default(parent text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
DECLARE
    part text := quote_ident(parent || '_default');
    reference name;
BEGIN
    EXECUTE 'ALTER TABLE ' || quote_ident(parent) || ' DETACH PARTITION ' || part;
    FOR reference IN SELECT conname FROM pg_constraint WHERE conrelid = part::regclass AND contype = 'f' AND conparentid = 0 LOOP
        EXECUTE 'ALTER TABLE ' || part || ' DROP CONSTRAINT ' || quote_ident(reference);
    END LOOP;
END
$$;
