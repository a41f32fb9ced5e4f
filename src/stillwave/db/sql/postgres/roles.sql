-- The roles of a Stillwave database and what each may touch of the schema itself. Run before every migration, by
-- the login of the URL; running it again changes nothing. None of them can sign in: an operator makes logins and
-- grants them a role. Table privileges and row-level security: policies/10_row_security.sql.
--   stillwave_owner      owns every object; nobody is meant to work as it
--   stillwave_migrator   may become the owner, to migrate and for the operator's commands
--   stillwave_app        the server while it answers a person
--   stillwave_retention  the server's housekeeping
--   stillwave_auditor    facts and counts without personal data
--   stillwave_backup     reads everything, changes nothing
DO $$
DECLARE
    wanted text;
    object record;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['stillwave_owner', 'stillwave_migrator', 'stillwave_app', 'stillwave_retention',
                                  'stillwave_auditor', 'stillwave_backup'] LOOP
        IF to_regrole(wanted) IS NULL THEN
            BEGIN
                EXECUTE 'CREATE ROLE ' || quote_ident(wanted) || ' NOLOGIN';
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this server was quicker
            END;
        END IF;
    END LOOP;
    IF NOT pg_has_role('stillwave_migrator', 'stillwave_owner', 'MEMBER') THEN
        GRANT stillwave_owner TO stillwave_migrator;
    END IF;
    -- The login that makes the database may act as each role that the program needs.
    FOREACH wanted IN ARRAY ARRAY['stillwave_owner', 'stillwave_app', 'stillwave_retention', 'stillwave_backup'] LOOP
        IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE 'GRANT ' || quote_ident(wanted) || ' TO CURRENT_USER';
        END IF;
    END LOOP;
    IF NOT (has_schema_privilege('stillwave_owner', 'public', 'CREATE')
            AND has_database_privilege('stillwave_owner', current_database(), 'CONNECT')) THEN
        GRANT USAGE, CREATE ON SCHEMA public TO stillwave_owner;
        EXECUTE 'GRANT CONNECT ON DATABASE ' || quote_ident(current_database()) || ' TO stillwave_owner';
    END IF;
    -- Nobody else makes anything here, not even temporary tables: those could stand in for real ones.
    IF has_schema_privilege('stillwave_app', 'public', 'CREATE') THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
    IF has_database_privilege('stillwave_app', current_database(), 'TEMPORARY') THEN
        EXECUTE 'REVOKE TEMPORARY ON DATABASE ' || quote_ident(current_database()) || ' FROM PUBLIC';
    END IF;
    -- A database that an earlier version made belongs to the login that made it.
    FOR object IN
        SELECT CASE relkind WHEN 'v' THEN 'ALTER VIEW ' ELSE 'ALTER TABLE ' END || oid::regclass
               || ' OWNER TO stillwave_owner' AS statement
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
          AND relowner <> 'stillwave_owner'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
        UNION ALL
        SELECT 'ALTER FUNCTION ' || oid::regprocedure || ' OWNER TO stillwave_owner'
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND proowner <> 'stillwave_owner'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE object.statement;
    END LOOP;
END
$$;
