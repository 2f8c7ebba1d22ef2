CREATE PROCEDURE clinicq.migrate()
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $procedure$
DECLARE
    step record;
BEGIN
    PERFORM clinicq.lock_migration();

    IF to_regclass('clinicq.migration') IS NULL THEN
        CREATE TABLE clinicq.migration (
            name text PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        COMMENT ON TABLE clinicq.migration IS 'The migrations that were applied to this database.';
        COMMENT ON COLUMN clinicq.migration.name IS 'Number and name, as in sql/migrations.';
        COMMENT ON COLUMN clinicq.migration.applied_at IS 'When.';
        CREATE TABLE clinicq.migration_state (
            extension oid NOT NULL,
            version text NOT NULL
        );
        COMMENT ON TABLE clinicq.migration_state IS 'The installed extension that migrate() last ran for; another one there now means that triggers and grants are not whole.';
        COMMENT ON COLUMN clinicq.migration_state.extension IS 'pg_extension.oid: differs after DROP EXTENSION and after a restore.';
        COMMENT ON COLUMN clinicq.migration_state.version IS 'pg_extension.extversion: differs after ALTER EXTENSION UPDATE.';
    END IF;

    FOR step IN
        SELECT p.proname, substring(p.proname FROM 9) AS name
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'clinicq' AND p.proname ~ '^migrate_[0-9]{4}_'
            AND NOT EXISTS (SELECT FROM clinicq.migration m WHERE m.name = substring(p.proname FROM 9))
        ORDER BY p.proname
    LOOP
        EXECUTE format('CALL clinicq.%I()', step.proname);
        INSERT INTO clinicq.migration (name) VALUES (step.name);
    END LOOP;

    CALL clinicq.remake_partitions();
    CALL clinicq.remake_settings();
    CALL clinicq.remake_templates();
    CALL clinicq.remake_triggers();
    CALL clinicq.remake_views();
    CALL clinicq.remake_reports();
    CALL clinicq.remake_routes();
    CALL clinicq.remake_problems();
    CALL clinicq.remake_grants();

    DELETE FROM clinicq.migration_state;
    INSERT INTO clinicq.migration_state (extension, version)
        SELECT oid, extversion FROM pg_extension WHERE extname = 'clinicq';
    PERFORM clinicq.forget_caches();
END
$procedure$;
COMMENT ON PROCEDURE clinicq.migrate() IS
    'Brings tables, indexes and constraints to the installed version and makes triggers, views, routes, problems and grants again. '
    'Run it after CREATE EXTENSION, ALTER EXTENSION UPDATE and pg_restore; running it twice changes nothing. '
    'Who: a superuser, or a member of clinicq_owner.';
