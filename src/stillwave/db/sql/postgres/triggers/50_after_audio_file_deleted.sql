DROP TRIGGER IF EXISTS after_audio_file_deleted ON audio_files;
CREATE TRIGGER after_audio_file_deleted
    AFTER DELETE ON audio_files
    FOR EACH ROW
    EXECUTE FUNCTION unlink_audio_file();
