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
-- Rows of such a month that lie in a default partition are copied first, while everybody reads and writes them; then,
-- with the tables locked, what changed meanwhile is copied again and the copies take the default partitions' place. So
-- no row is deleted, no trigger sees one come or go, and whoever waits does so for the exchange alone.
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
    since xid;
    copied bigint[] := '{}';
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
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || quote_ident(parent || '_default') || ' WHERE ' || month_table(parent)
            || ' = ANY ($1))' INTO found USING missing;
        strays := strays OR found;
    END LOOP;
    FOR parent, suffix IN SELECT split_part(name, '_y', 1), '_y' || split_part(name, '_y', 2)
                          FROM unnest(missing) WITH ORDINALITY AS m (name, place) ORDER BY place LOOP
        EXECUTE 'CREATE TABLE ' || quote_ident(parent || suffix) || ' (LIKE ' || quote_ident(parent) || ' INCLUDING ALL)';
    END LOOP;
    IF strays THEN
        -- Whatever a transaction changed that was not over by now may be missing in the copies.
        since := mod(pg_snapshot_xmin(pg_current_snapshot())::text::numeric, 4294967296)::text::xid;
        FOREACH parent IN ARRAY parents LOOP
            EXECUTE 'CREATE TABLE ' || quote_ident(parent || '_default_new') || ' (LIKE ' || quote_ident(parent) || ' INCLUDING ALL)';
            copied := copied || copy_strays(parent, missing, NULL);
        END LOOP;
        LOCK TABLE ONLY sessions, ONLY session_feedback, ONLY audio_files IN ACCESS EXCLUSIVE MODE;
        LOCK TABLE sessions_default, session_feedback_default, audio_files_default IN ACCESS EXCLUSIVE MODE;
        FOR place IN 1 .. 3 LOOP
            PERFORM copy_changes(parents[place], missing, since, copied[place]);
        END LOOP;
        FOREACH parent IN ARRAY ARRAY['session_feedback', 'audio_files', 'sessions'] LOOP
            EXECUTE 'ALTER TABLE ' || quote_ident(parent) || ' DETACH PARTITION ' || quote_ident(parent || '_default');
            EXECUTE 'DROP TABLE ' || quote_ident(parent || '_default');
            EXECUTE 'ALTER TABLE ' || quote_ident(parent || '_default_new') || ' RENAME TO ' || quote_ident(parent || '_default');
            EXECUTE 'ALTER INDEX ' || quote_ident(parent || '_default_new_pkey') || ' RENAME TO ' || quote_ident(parent || '_default_pkey');
        END LOOP;
    END IF;
    -- Month by month: the references of a month are looked for in all the months that are attached by then.
    FOR parent, suffix IN SELECT split_part(name, '_y', 1), '_y' || split_part(name, '_y', 2)
                          FROM unnest(missing) WITH ORDINALITY AS m (name, place)
                          ORDER BY 2, place LOOP
        PERFORM attach_month(parent, suffix);
        made := made + 1;
    END LOOP;
    IF strays THEN
        FOREACH parent IN ARRAY parents LOOP
            EXECUTE 'ALTER TABLE ' || quote_ident(parent) || ' ATTACH PARTITION ' || quote_ident(parent || '_default') || ' DEFAULT';
            PERFORM protect_table((parent || '_default')::regclass);
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

-- The name of the month's table that a row of `parent` belongs to, as SQL over its columns.
CREATE OR REPLACE FUNCTION month_table(parent text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT quote_literal(parent) || ' || to_char(' || month_column(parent) || ' AT TIME ZONE ''UTC'', ''"_y"YYYY"m"MM'')'
$$;

-- Rows of a default partition are in their month's table of `missing`, the others in its successor; of all rows, or of
-- those at these places. Returns how many.
CREATE OR REPLACE FUNCTION copy_strays(parent text, missing text[], places tid[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
DECLARE
    name text;
    month timestamptz;
    given text := ' FROM ' || quote_ident(parent || '_default') || ' WHERE ($2 IS NULL OR ctid = ANY ($2)) AND ';
    total bigint := 0;
    found bigint;
BEGIN
    EXECUTE 'INSERT INTO ' || quote_ident(parent || '_default_new') || ' SELECT *' || given || month_table(parent) || ' <> ALL ($1)'
        USING missing, places;
    GET DIAGNOSTICS total = ROW_COUNT;
    FOREACH name IN ARRAY missing LOOP
        CONTINUE WHEN split_part(name, '_y', 1) <> parent;
        month := (to_timestamp(substr(name, length(parent) + 1), '"_y"YYYY"m"MM') AT TIME ZONE current_setting('TimeZone')) AT TIME ZONE 'UTC';
        EXECUTE 'INSERT INTO ' || quote_ident(name) || ' SELECT *' || given || month_column(parent) || ' >= $1 AND '
            || month_column(parent) || ' < $3'
            USING month, places, (month AT TIME ZONE 'UTC' + INTERVAL '1 month') AT TIME ZONE 'UTC';
        GET DIAGNOSTICS found = ROW_COUNT;
        total := total + found;
    END LOOP;
    RETURN total;
END
$$;

-- The copies are what the default partition is now, which nobody changes any more: rows of transactions from `since` on
-- are copied again, and where there are fewer than copies, those without a row go.
CREATE OR REPLACE FUNCTION copy_changes(parent text, missing text[], since xid, copied bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
DECLARE
    name text;
    places tid[];
    old text := quote_ident(parent || '_default');
    copies text[] := ARRAY(SELECT m FROM unnest(missing) AS m WHERE split_part(m, '_y', 1) = parent) || (parent || '_default_new');
    gone bigint;
    present bigint;
BEGIN
    EXECUTE 'SELECT array_agg(ctid) FILTER (WHERE age(xmin) <= age($1)), count(*) FROM ' || old INTO places, present USING since;
    IF places IS NOT NULL THEN
        FOREACH name IN ARRAY copies LOOP
            EXECUTE 'DELETE FROM ' || quote_ident(name) || ' AS copy USING ' || old || ' AS old WHERE old.ctid = ANY ($1)'
                || ' AND copy.user_id = old.user_id AND copy.id = old.id' USING places;
            GET DIAGNOSTICS gone = ROW_COUNT;
            copied := copied - gone;
        END LOOP;
        copied := copied + copy_strays(parent, missing, places);
    END IF;
    IF copied > present THEN
        FOREACH name IN ARRAY copies LOOP
            EXECUTE 'DELETE FROM ' || quote_ident(name) || ' AS copy WHERE NOT EXISTS (SELECT FROM ' || old
                || ' AS old WHERE old.user_id = copy.user_id AND old.id = copy.id)';
        END LOOP;
    END IF;
END
$$;

-- What earlier versions had: it took the default partition off and deleted from it.
DROP FUNCTION IF EXISTS detach_default(text);
