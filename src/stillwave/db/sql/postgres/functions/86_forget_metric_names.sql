-- What erased people called their numbers stands in no index any more; true when there was somebody since the last time.
-- A GIN index keeps the text of a key for ever, though no row has it and VACUUM has been there: only a new index does not.
-- Writers of the diary wait meanwhile; whoever holds the table for long makes this give up, until the next hour.
CREATE OR REPLACE FUNCTION forget_metric_names(last_erased timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    person text := stillwave_enter();
    known text := (SELECT value FROM installation WHERE name = 'metric_names_forgotten');
    due boolean := known IS NULL OR known::timestamptz < last_erased;
BEGIN
    IF due THEN
        REINDEX INDEX idx_progress_metrics;
        INSERT INTO installation (name, value) VALUES ('metric_names_forgotten', last_erased::text)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value;
    END IF;
    PERFORM stillwave_leave(person);
    RETURN due;
END
$$;
