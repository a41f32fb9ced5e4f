-- name: rows_inspected
SELECT check_id, what, n FROM rows_inspected(:now, :demo_index);

-- name: consents_inspected
SELECT purpose, version, text_sha256, n FROM consents_inspected();

-- name: engine_version
SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_version_num')::int %% 10000 AS minor;

-- name: house_inspected
-- What is not as it should be in the catalogue of PostgreSQL: which check, and the name of what it is about.
WITH roles AS (
    SELECT oid, rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin AS more
    FROM pg_roles
    WHERE rolname IN ('stillwave_owner', 'stillwave_migrator', 'stillwave_app', 'stillwave_retention', 'stillwave_auditor', 'stillwave_backup')
      AND (SELECT relowner = to_regrole('stillwave_owner') FROM pg_class WHERE oid = to_regclass('public.users'))
), narrow AS (
    SELECT oid, rolname, pg_has_role(oid, 'stillwave_owner', 'MEMBER') AS above  -- then `roles.member` says it all
    FROM roles WHERE rolname NOT IN ('stillwave_owner', 'stillwave_migrator')
), things AS (
    SELECT relname::text AS name, c.* FROM pg_class AS c
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
), tables AS (
    SELECT name, t.oid, relrowsecurity, relforcerowsecurity, relispartition,
           name = 'users' OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = 'user_id' AND NOT attisdropped) AS personal
    FROM things AS t WHERE relkind <> 'v'
), routines AS (
    SELECT p.oid::regprocedure::text AS name, p.* FROM pg_proc AS p
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
)
SELECT 'rls.on' AS check_id, name AS what FROM tables WHERE NOT relrowsecurity
UNION ALL SELECT 'rls.forced', name FROM tables WHERE relrowsecurity AND NOT relforcerowsecurity
UNION ALL SELECT 'rls.policies', name || ' lacks ' || wanted
    FROM tables, unnest(CASE WHEN name = 'users' AND EXISTS (SELECT FROM roles) THEN ARRAY['house', 'person', 'plain']
                             WHEN personal THEN ARRAY['house', 'person'] ELSE ARRAY['house'] END) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid AND polname = wanted)
UNION ALL SELECT 'rls.open', name || ': ' || polname
    FROM tables JOIN pg_policy ON polrelid = tables.oid
    WHERE personal AND polpermissive
      AND (0 = ANY (polroles) OR to_regrole('stillwave_app')::oid = ANY (polroles))
      AND CASE polname WHEN 'person' THEN pg_get_expr(polqual, polrelid) NOT LIKE '%%= stillwave_person()%%'
                       WHEN 'house' THEN pg_get_expr(polqual, polrelid) <> 'stillwave_house()' ELSE true END
UNION ALL SELECT 'roles.bypass', rolname::text FROM roles WHERE more
UNION ALL SELECT 'roles.truncate', rolname || ' on ' || name FROM narrow, tables
    WHERE NOT above AND has_table_privilege(narrow.oid, tables.oid, 'TRUNCATE, REFERENCES, TRIGGER')
UNION ALL SELECT 'roles.public', name FROM things WHERE EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = 0)
UNION ALL SELECT 'roles.member', rolname || ' may become ' || other
    FROM narrow, unnest(ARRAY['stillwave_owner', 'stillwave_migrator']) AS other WHERE pg_has_role(narrow.oid, other, 'MEMBER')
UNION ALL SELECT 'roles.columns', 'users.' || col FROM narrow, unnest(ARRAY['role', 'subscription_tier']) AS col
    WHERE rolname = 'stillwave_app' AND NOT above AND has_column_privilege(narrow.oid, 'public.users', col, 'UPDATE')
UNION ALL SELECT 'roles.login', rolname::text FROM pg_roles WHERE rolname = session_user AND (rolsuper OR rolbypassrls)
UNION ALL SELECT 'roles.step_up', session_user::text FROM pg_roles
    WHERE rolname = session_user AND NOT rolsuper AND EXISTS (SELECT FROM roles) AND pg_has_role(session_user, 'stillwave_owner', 'MEMBER')
UNION ALL SELECT 'roles.one', session_user::text WHERE NOT EXISTS (SELECT FROM roles)
UNION ALL SELECT 'log.append_only', privilege || ' on ' || thing
    FROM narrow, (VALUES ('audit_events', 'UPDATE'), ('audit_events', 'DELETE'), ('audit_heads', 'DELETE')) AS never (thing, privilege)
    WHERE rolname = 'stillwave_app' AND NOT above AND has_table_privilege(narrow.oid, 'public.' || thing, privilege)
UNION ALL SELECT 'schema.create', 'public' FROM pg_namespace
    WHERE nspname = 'public' AND EXISTS (SELECT FROM aclexplode(nspacl) WHERE grantee = 0 AND privilege_type = 'CREATE')
UNION ALL SELECT 'schema.temporary', datname::text FROM pg_database
    WHERE datname = current_database() AND EXISTS (SELECT FROM roles)
      AND EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0 AND privilege_type = 'TEMPORARY')
UNION ALL SELECT 'schema.owner', name FROM things WHERE relowner <> to_regrole('stillwave_owner')::oid AND EXISTS (SELECT FROM roles)
UNION ALL SELECT 'schema.owner', name FROM routines WHERE proowner <> to_regrole('stillwave_owner')::oid AND EXISTS (SELECT FROM roles)
UNION ALL SELECT 'functions.path', name FROM routines
    WHERE prosecdef AND NOT coalesce(proconfig::text LIKE '%%search_path=public, pg_temp%%', false)
UNION ALL SELECT 'functions.public', name FROM routines
    WHERE prosecdef AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0)
UNION ALL SELECT 'views.invoker', name FROM things
    WHERE relkind = 'v' AND NOT coalesce(reloptions && ARRAY['security_invoker=true', 'security_invoker=on'], false)
UNION ALL SELECT 'schema.triggers', relname || '.' || tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal AND tgenabled = 'D'
UNION ALL SELECT 'schema.triggers', wanted || ' is missing' FROM json_array_elements_text(CAST(:triggers AS json)) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = wanted)
UNION ALL SELECT 'erasure.cascade', name FROM tables
    WHERE personal AND NOT relispartition AND name IN (SELECT json_array_elements_text(CAST(:cascading AS json)))
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = tables.oid AND contype = 'f' AND confdeltype = 'c' AND convalidated)
UNION ALL SELECT 'fields.checks', wanted FROM json_array_elements_text(CAST(:checks AS json)) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conname = wanted AND contype = 'c')
UNION ALL SELECT 'leak.statements', 'log_statement = ' || current_setting('log_statement')
    WHERE current_setting('log_statement') IN ('mod', 'all') AND current_setting('log_parameter_max_length') <> '0'
UNION ALL SELECT 'leak.statements', 'log_min_duration_statement = ' || current_setting('log_min_duration_statement')
    WHERE current_setting('log_min_duration_statement') <> '-1' AND current_setting('log_parameter_max_length') <> '0'
ORDER BY 1, 2;

-- name: months_inspected
SELECT strays, months_ahead FROM house_counted(CAST(:today AS date));

-- name: some_people
-- The people whose chains began last.
SELECT user_id FROM audit_heads ORDER BY user_id DESC LIMIT :most;
