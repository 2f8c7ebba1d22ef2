-- Proves what holds for every object there is and will be: who owns it, who may execute it, that it
-- runs with a safe search_path, that it is commented, and that data never belongs to the extension.
-- All lists come from the catalogue, so a new function or table cannot be forgotten.
SELECT no_plan();

CREATE VIEW tap.routine AS
    SELECT p.*, p.oid::regprocedure::text AS signature, n.nspname
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('clinicq', 'clinicq_api', 'clinicq_audit', 'clinicq_report');
CREATE VIEW tap.member AS
    SELECT d.classid, d.objid FROM pg_depend d
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
        AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'clinicq');
CREATE VIEW tap.relation AS
    SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('clinicq', 'clinicq_api', 'clinicq_audit', 'clinicq_report');

SELECT cmp_ok((SELECT count(*) FROM tap.routine), '>=', 80::bigint, 'the lists below are not empty');

-- Functions.
SELECT is_empty($$
    SELECT signature FROM tap.routine
    WHERE has_function_privilege('public', oid, 'EXECUTE')
$$, 'no routine may be executed by PUBLIC');
SELECT is_empty($$
    SELECT signature FROM tap.routine
    WHERE has_function_privilege('test_nobody', oid, 'EXECUTE')
$$, 'nor by a login role without a ClinicQ role');
SELECT is_empty($$
    SELECT signature, proowner::regrole FROM tap.routine
    WHERE prosecdef AND proowner <> 'clinicq_owner'::regrole
$$, 'every SECURITY DEFINER routine belongs to clinicq_owner');
SELECT is_empty($$
    SELECT signature, proconfig FROM tap.routine
    WHERE prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
$$, 'every SECURITY DEFINER routine has search_path = pg_catalog, pg_temp');
SELECT is_empty($$
    SELECT signature, proowner::regrole FROM tap.routine
    WHERE proowner <> 'clinicq_owner'::regrole AND prorettype <> 'trigger'::regtype
$$, 'no routine that can be called belongs to a superuser');
SELECT is_empty($$
    SELECT signature FROM tap.routine JOIN pg_roles r ON r.oid = proowner
    WHERE prorettype = 'trigger'::regtype AND NOT r.rolsuper
$$, 'every trigger function stays with the superuser, out of the reach of clinicq_owner');
SELECT is_empty($$
    SELECT signature FROM tap.routine
    WHERE proname ~ '^(audit|forget|feed|outbox)_' AND prorettype = 'trigger'::regtype
        AND has_function_privilege('clinicq_admin', oid, 'EXECUTE')
$$, 'no trigger function can be attached by a ClinicQ role');
SELECT is_empty($$
    SELECT signature, proparallel FROM tap.routine
    WHERE prosecdef AND provolatile <> 'v' AND proname <> 'settings' AND proparallel = 's'
$$, 'what reads the identity is not PARALLEL SAFE');
SELECT is_empty($$
    SELECT signature FROM tap.routine r WHERE nspname = 'clinicq' AND prorettype = ANY (
        SELECT c.reltype FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.reltype <> 0)
$$, 'no function returns the row type of a table');
SELECT is_empty($$
    SELECT signature FROM tap.routine r JOIN pg_language l ON l.oid = r.prolang
    WHERE lanname = 'plpgsql' AND prokind <> 'p'
$$, 'no function is written in plpgsql: a request never meets one');
SELECT set_eq($$
    SELECT signature FROM tap.routine WHERE has_function_privilege('clinicq_shim', oid, 'EXECUTE')
$$, ARRAY[
    'clinicq_api.call(text,text,text[],jsonb,text,text,text,inet,text,text,text,text,text,text)',
    'clinicq_api.catalogue()', 'clinicq_api.gauges()', 'clinicq_api.feed_advance()', 'clinicq_api.feed(bigint,integer)'
], 'the shim may execute call(), catalogue(), gauges() and the two of the feed, and nothing else');
SELECT set_eq($$
    SELECT proname::text FROM tap.routine WHERE has_function_privilege('clinicq_deliver', oid, 'EXECUTE')
$$, ARRAY['delivery_settings', 'take_deliveries', 'renew_delivery', 'delivery_done', 'delivery_failed', 'delivery_image'],
    'the deliverer may execute what concerns deliveries, and nothing else');
SELECT set_eq($$
    SELECT rolname::text FROM pg_roles WHERE has_schema_privilege(oid, 'clinicq_api', 'USAGE')
        AND NOT rolsuper AND rolname !~ '^pg_' AND NOT pg_has_role(oid, 'clinicq_owner', 'USAGE')
$$, ARRAY['clinicq_shim', 'clinicq_deliver'], 'schema clinicq_api is closed to all but shim, deliverer and owner');
SELECT set_eq($$
    SELECT rolname::text FROM pg_roles, unnest(ARRAY['clinicq', 'clinicq_api', 'clinicq_audit']) AS s
    WHERE has_schema_privilege(oid, s, 'CREATE') AND NOT rolsuper AND NOT pg_has_role(oid, 'clinicq_owner', 'USAGE')
$$, '{}'::text[], 'nobody but the owner creates objects in the schemas of ClinicQ');

-- Comments.
SELECT is_empty($$
    SELECT signature FROM tap.routine WHERE coalesce(obj_description(oid, 'pg_proc'), '') = ''
$$, 'every routine is commented');
SELECT is_empty($$
    SELECT oid::regclass FROM tap.relation
    WHERE relkind IN ('r', 'p', 'v', 'm') AND obj_description(oid, 'pg_class') IS NULL
$$, 'every table and view is commented');
SELECT is_empty($$
    SELECT c.oid::regclass, a.attname FROM tap.relation c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
        AND col_description(c.oid, a.attnum) IS NULL
$$, 'every column is commented');
SELECT is_empty($$
    SELECT c.oid::regclass FROM tap.relation c
    WHERE c.relkind IN ('S', 'i', 'I') AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') IS NULL
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u'))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
$$, 'every sequence and index that was given a name is commented');
SELECT is_empty($$
    SELECT nspname FROM pg_namespace WHERE nspname ~ '^clinicq' AND obj_description(oid, 'pg_namespace') IS NULL
$$, 'every schema is commented');
SELECT is_empty($$
    SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE n.nspname ~ '^clinicq' AND t.typelem = 0 AND coalesce(c.relkind, 'c') = 'c'
        AND obj_description(t.oid, 'pg_type') IS NULL
$$, 'every type is commented');
SELECT is_empty($$
    SELECT rolname FROM pg_roles WHERE rolname ~ '^clinicq_' AND rolname <> 'clinicq_dba'
        AND shobj_description(oid, 'pg_authid') IS NULL
$$, 'every role is commented');
SELECT is_empty($$
    SELECT signature FROM tap.routine
    WHERE prokind = 'f' AND prorettype <> 'trigger'::regtype AND obj_description(oid, 'pg_proc') !~ 'Who: '
$$, 'every function says who may call it');

-- Data is outside the extension.
SELECT is_empty($$
    SELECT c.oid::regclass FROM tap.member m JOIN pg_class c ON c.oid = m.objid
    WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'S', 'i', 'I', 'm', 'v')
$$, 'no table, sequence, index or view is a member of the extension');
SELECT is_empty($$
    SELECT 1 FROM tap.member m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = 'clinicq'::regnamespace
$$, 'the schema of the tables is no member of the extension');
SELECT is_empty($$
    SELECT d.classid::regclass, d.objid FROM pg_depend d JOIN tap.member m ON m.classid = d.refclassid AND m.objid = d.refobjid
    WHERE d.deptype IN ('n', 'a') AND (
        d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass)
        OR d.classid = 'pg_class'::regclass AND d.objid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'i', 'I', 'S')))
$$, 'no column, default, generated column, CHECK or index depends on a member of the extension');
SELECT cmp_ok((SELECT count(*) FROM pg_depend d JOIN tap.member m ON m.classid = d.refclassid AND m.objid = d.refobjid
    WHERE d.classid = 'pg_trigger'::regclass), '>=', 10::bigint, 'triggers do: that query finds dependants');

-- Owners and rights on tables.
SELECT is_empty($$
    SELECT oid::regclass, relowner::regrole FROM tap.relation
    WHERE relkind IN ('r', 'p', 'S', 'v', 'm') AND relowner <> 'clinicq_owner'::regrole
$$, 'every table, sequence and view belongs to clinicq_owner');
SELECT is_empty($$
    SELECT c.oid::regclass, r.rolname, k FROM tap.relation c, pg_roles r,
        unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS k
    WHERE c.relkind IN ('r', 'p', 'v') AND NOT r.rolsuper AND r.rolname !~ '^pg_'
        AND NOT pg_has_role(r.oid, 'clinicq_owner', 'USAGE') AND has_table_privilege(r.oid, c.oid, k)
$$, 'nobody but the owner may write any table');
SELECT is_empty($$
    SELECT c.oid::regclass, r.rolname FROM tap.relation c, pg_roles r
    WHERE c.relkind IN ('r', 'p') AND NOT r.rolsuper AND r.rolname !~ '^pg_'
        AND NOT pg_has_role(r.oid, 'clinicq_owner', 'USAGE') AND has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE')
$$, 'nor read one');
SELECT is_empty($$
    SELECT c.oid::regclass FROM tap.relation c
    WHERE CASE c.relkind WHEN 'S' THEN has_sequence_privilege('clinicq_admin', c.oid, 'USAGE, SELECT, UPDATE') END
$$, 'nor use a sequence');
SELECT is_empty($$
    SELECT c.oid::regclass, r FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, unnest(ARRAY['clinicq_shim', 'clinicq_deliver']) AS r
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname ~ '^clinicq'
        AND has_any_column_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
$$, 'shim and deliverer have no right on any table or view');
SELECT is_empty($$
    SELECT rolname FROM pg_roles WHERE rolname ~ '^clinicq_'
        AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
$$, 'no role of ClinicQ has an attribute beyond LOGIN');
SELECT set_eq($$
    SELECT rolname::text FROM pg_roles WHERE rolname ~ '^clinicq_' AND rolcanlogin
$$, ARRAY['clinicq_shim', 'clinicq_deliver', 'clinicq_dba'], 'of the roles of ClinicQ only shim and deliverer (and a DBA here) may log in');
SELECT is((SELECT array_agg(s ORDER BY s) FROM pg_db_role_setting d, unnest(setconfig) AS s
    WHERE setrole = r::regrole AND s ~ '^(log_parameter|statement_timeout|lock_timeout|idle_in)'),
    ARRAY['idle_in_transaction_session_timeout=10s', 'lock_timeout=5s', 'log_parameter_max_length=0',
        'log_parameter_max_length_on_error=0', 'statement_timeout=8s'],
    r || ' gives connections back in time and keeps parameters out of the log')
FROM unnest(ARRAY['clinicq_shim', 'clinicq_deliver']) AS r;
SELECT is_empty($$
    SELECT oid::regclass FROM tap.relation WHERE relkind IN ('r') AND NOT relispartition
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = tap.relation.oid AND k.contype = 'p')
        AND relname <> 'migration_state'
$$, 'every table has a primary key');

SELECT * FROM finish();
