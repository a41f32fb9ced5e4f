-- The row of a sound file is gone: its file is to be removed by the worker, after the commit.
CREATE OR REPLACE FUNCTION unlink_audio_file() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO unlink_outbox (user_id, file_path) VALUES (OLD.user_id, OLD.file_path);
    RETURN NULL;
END
$$;
