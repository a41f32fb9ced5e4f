-- Afterwards the three tables have a partition for every UTC month from that of first_day to that of last_day.
-- Returns how many were made. Idempotent, and two callers wait for each other.
-- Refuses, with the month and the number of rows, where the default partition already holds rows of a month:
-- PostgreSQL cannot carve them out under foreign keys, so they are to be moved on purpose.
CREATE OR REPLACE FUNCTION ensure_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    month timestamp;
    parent text;
    key_column text;
    partition text;
    month_start text;
    month_end text;
    strays bigint;
    made integer := 0;
BEGIN
    IF first_day IS NULL OR last_day IS NULL OR last_day < first_day OR last_day - first_day > 3700 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'ensure_partitions needs a first and a last day in order, at most ten years apart';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('stillwave.ensure_partitions'));
    FOR month IN
        SELECT generate_series(date_trunc('month', first_day::timestamp), last_day::timestamp, INTERVAL '1 month')
    LOOP
        month_start := to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00';
        month_end := to_char(month + INTERVAL '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
        -- sessions first: the others refer to it.
        FOREACH parent IN ARRAY ARRAY['sessions', 'session_feedback', 'audio_files'] LOOP
            key_column := CASE parent WHEN 'sessions' THEN 'start_time' ELSE 'session_start_time' END;
            partition := parent || to_char(month, '"_y"YYYY"m"MM');
            CONTINUE WHEN to_regclass(quote_ident(partition)) IS NOT NULL;
            EXECUTE 'SELECT count(*) FROM ' || quote_ident(parent || '_default')
                || ' WHERE ' || key_column || ' >= $1::timestamptz AND ' || key_column || ' < $2::timestamptz'
                INTO strays USING month_start, month_end;
            IF strays > 0 THEN
                RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                    MESSAGE = 'cannot make ' || partition || ': ' || parent || '_default already holds '
                        || strays || ' rows of that month',
                    HINT = 'Move or remove these rows, then run ensure_partitions again.';
            END IF;
            EXECUTE 'CREATE TABLE ' || quote_ident(partition) || ' PARTITION OF ' || quote_ident(parent)
                || ' FOR VALUES FROM (' || quote_literal(month_start) || ') TO (' || quote_literal(month_end) || ')';
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
