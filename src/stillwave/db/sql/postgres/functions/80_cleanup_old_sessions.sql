-- Sessions older than one year go; those of premium people stay, and so do those of people whose processing
-- is restricted (nothing may be done to them but keeping). Feedback and sound files go with the session,
-- and each person's profile is refolded once. Days are UTC days, whatever the connection's time zone.
CREATE OR REPLACE FUNCTION cleanup_old_sessions() RETURNS void
LANGUAGE sql VOLATILE
AS $$
    DELETE FROM sessions
    WHERE start_time < ((CURRENT_TIMESTAMP AT TIME ZONE 'UTC')::date - INTERVAL '1 year') AT TIME ZONE 'UTC'
      AND NOT EXISTS (
          SELECT FROM users
          WHERE users.id = sessions.user_id AND (subscription_tier = 'premium' OR processing_restricted))
$$;
