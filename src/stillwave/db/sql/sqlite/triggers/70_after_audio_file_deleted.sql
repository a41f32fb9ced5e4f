-- The row of a sound file is gone: its file is to be removed by the worker, after the commit.
DROP TRIGGER IF EXISTS after_audio_file_deleted;
CREATE TRIGGER after_audio_file_deleted AFTER DELETE ON audio_files
BEGIN
    INSERT INTO unlink_outbox (user_id, file_path) VALUES (OLD.user_id, OLD.file_path);
END;
