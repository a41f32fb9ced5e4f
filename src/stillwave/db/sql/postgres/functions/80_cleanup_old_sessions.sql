-- Sessions older than one year go; those of premium people stay, and so do those of people whose processing
-- is restricted (nothing may be done to them but keeping). Feedback and sound files go with the session;
-- what was learned from it stays (keep_learned). Days are UTC days, whatever the connection's time zone.
-- Month by month: retire_month() says how.
CREATE OR REPLACE FUNCTION cleanup_old_sessions() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT retire_month(month.name, retention_limit(), NULL) FROM expired_months(retention_limit()) AS month
$$;
