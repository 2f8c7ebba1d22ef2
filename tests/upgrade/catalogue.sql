-- Prints all that ClinicQ has in the catalogue of a database, without object ids: one line a fact, sorted.
\pset format unaligned
\pset tuples_only on
SET search_path = pg_catalog;
CREATE TEMP TABLE fact (line text);
CREATE FUNCTION pg_temp.acl(aclitem[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(a::text, ' ' ORDER BY a::text COLLATE "C"), '-') FROM unnest($1) AS a
$$;
CREATE TEMP VIEW relation AS
    SELECT c.*, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname ~ '^clinicq' AND c.relkind <> 't';

INSERT INTO fact SELECT concat_ws(' ', 'schema', nspname, 'owner', nspowner::regrole, 'acl', pg_temp.acl(nspacl))
    FROM pg_namespace WHERE nspname ~ '^clinicq';
INSERT INTO fact SELECT concat_ws(' ', 'relation', relkind, name, 'owner', relowner::regrole, 'acl', pg_temp.acl(relacl), 'options', reloptions,
    relpersistence, relispartition, relrowsecurity, relreplident, 'of', (SELECT amname FROM pg_am WHERE oid = relam), pg_get_expr(relpartbound, oid)) FROM relation;
INSERT INTO fact SELECT concat_ws(' ', 'column', r.name, a.attnum - (SELECT count(*) FROM pg_attribute d WHERE d.attrelid = r.oid AND d.attnum < a.attnum AND d.attisdropped),
    a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcollation::regcollation, a.attstattarget, a.attacl,
    'default', pg_get_expr(d.adbin, d.adrelid))
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind IN ('r', 'p', 'v', 'm', 'c');
INSERT INTO fact SELECT concat_ws(' ', 'constraint', r.name, k.conname, k.contype, k.convalidated, k.condeferrable, k.conislocal,
    -- a dump writes BETWEEN out, with fewer brackets
    translate(pg_get_constraintdef(k.oid), '()', ''))
    FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid;
INSERT INTO fact SELECT concat_ws(' ', 'index', r.name, i.indisvalid, i.indisunique, i.indisprimary, pg_get_indexdef(r.oid))
    FROM relation r JOIN pg_index i ON i.indexrelid = r.oid;
INSERT INTO fact SELECT concat_ws(' ', 'trigger', r.name, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid))
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal;
INSERT INTO fact SELECT concat_ws(' ', 'view', name, regexp_replace(pg_get_viewdef(oid), '\s+', ' ', 'g')) FROM relation WHERE relkind = 'v';
INSERT INTO fact SELECT concat_ws(' ', 'rule', r.name, w.rulename) FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid;
INSERT INTO fact SELECT concat_ws(' ', 'sequence', r.name, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
    FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid;
INSERT INTO fact SELECT concat_ws(' ', 'inherits', inhrelid::regclass, inhparent::regclass) FROM pg_inherits JOIN relation r ON r.oid = inhrelid;
INSERT INTO fact SELECT concat_ws(' ', 'routine', p.oid::regprocedure, 'returns', coalesce(pg_get_function_result(p.oid), '-'), 'owner', p.proowner::regrole, 'acl', pg_temp.acl(p.proacl),
    l.lanname, p.prokind, p.prosecdef, p.proleakproof, p.proisstrict, p.proretset, p.provolatile, p.proparallel, p.procost, p.prorows, p.proconfig,
    pg_get_function_arguments(p.oid), md5(p.prosrc), CASE WHEN p.probin ~ 'clinicq$' THEN 'clinicq' ELSE p.probin END)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang WHERE n.nspname ~ '^clinicq';
INSERT INTO fact SELECT concat_ws(' ', 'type', t.oid::regtype, t.typtype, 'owner', t.typowner::regrole, 'acl', pg_temp.acl(t.typacl))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname ~ '^clinicq' AND t.typelem = 0;
INSERT INTO fact SELECT concat_ws(' ', 'comment', i.type, i.identity, d.description) FROM pg_description d,
    LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i WHERE i.identity ~ '^clinicq' OR i.schema ~ '^clinicq';
INSERT INTO fact SELECT concat_ws(' ', 'member', i.type, i.identity) FROM pg_depend d,
    LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'clinicq');
INSERT INTO fact SELECT concat_ws(' ', 'extension', extname, extversion, extrelocatable, extnamespace::regnamespace) FROM pg_extension;
INSERT INTO fact SELECT concat_ws(' ', 'default acl', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl) FROM pg_default_acl;
INSERT INTO fact SELECT concat_ws(' ', 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconfig, shobj_description(oid, 'pg_authid'))
    FROM pg_roles WHERE rolname ~ '^clinicq';
INSERT INTO fact SELECT concat_ws(' ', 'membership', roleid::regrole, member::regrole) FROM pg_auth_members WHERE member::regrole::text ~ '^clinicq';
INSERT INTO fact SELECT 'route ' || to_json(r) FROM clinicq.route r;
INSERT INTO fact SELECT 'problem ' || to_json(p) FROM clinicq.problem p;
INSERT INTO fact SELECT 'migration ' || name FROM clinicq.migration;

SELECT line FROM fact ORDER BY line COLLATE "C";
