-- Sessions older than one year go; those of premium people stay, and so do those of people whose processing
-- is restricted (nothing may be done to them but keeping). Feedback and sound files go with the session;
-- what was learned from it stays (keep_learned). Days are UTC days, whatever the connection's time zone.
CREATE OR REPLACE FUNCTION cleanup_old_sessions() RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    horizon CONSTANT timestamptz :=
        ((CURRENT_TIMESTAMP AT TIME ZONE 'UTC')::date - INTERVAL '1 year') AT TIME ZONE 'UTC';
BEGIN
    INSERT INTO learning_pause (user_id, keep_before)
    SELECT id, horizon
    FROM users
    WHERE subscription_tier <> 'premium' AND NOT processing_restricted
      AND EXISTS (SELECT FROM sessions WHERE user_id = users.id AND start_time < horizon)
    ORDER BY id;
    DELETE FROM sessions WHERE user_id IN (SELECT user_id FROM learning_pause) AND start_time < horizon;
    DELETE FROM learning_pause;
END
$$;
