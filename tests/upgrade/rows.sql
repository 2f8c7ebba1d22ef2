-- Prints number and checksum of the rows of every table, and where every sequence stands.
\pset format unaligned
\pset tuples_only on
SET search_path = pg_catalog;
SET TimeZone = 'UTC';
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C"), '''')) FROM clinicq.%I AS t', c.relname, c.relname)
FROM pg_class c WHERE c.relnamespace = 'clinicq'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'migration_state'
ORDER BY c.relname COLLATE "C"
\gexec
SELECT format('SELECT %L, last_value, is_called FROM clinicq.%I', c.relname, c.relname)
FROM pg_class c WHERE c.relnamespace = 'clinicq'::regnamespace AND c.relkind = 'S' ORDER BY c.relname COLLATE "C"
\gexec
