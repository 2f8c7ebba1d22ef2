-- Last in the install script and in every update script: whose each routine is and who may
-- execute it. Trigger functions stay with the superuser who installs, so that clinicq_owner
-- cannot replace them. An operator is qualified where no exact match in pg_catalog comes first.
DO $ownership$
DECLARE
    routine record;
BEGIN
    FOR routine IN
        SELECT p.oid::pg_catalog.regprocedure AS signature, n.nspname AS schema, p.proname AS name,
            p.prosecdef AS definer, p.prorettype OPERATOR(pg_catalog.=) 'pg_catalog.trigger'::pg_catalog.regtype AS is_trigger,
            p.prokind AS kind
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'clinicq'
        JOIN pg_catalog.pg_proc p ON p.oid = d.objid
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE d.deptype = 'e' AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
            AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine.signature);
        IF routine.is_trigger THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO clinicq_owner', routine.signature);
            CONTINUE;
        END IF;
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO clinicq_owner', routine.signature);
        -- The functions for psql check the role themselves and say which would do.
        IF routine.schema = 'clinicq' AND routine.definer AND routine.kind = 'f' THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO clinicq_admin, clinicq_doctor, '
                'clinicq_assistant, clinicq_display, clinicq_auditor, clinicq_reporter', routine.signature);
        END IF;
    END LOOP;
END
$ownership$;

GRANT EXECUTE ON FUNCTION clinicq_api.call, clinicq_api.catalogue, clinicq_api.gauges, clinicq_api.feed_advance, clinicq_api.feed TO clinicq_shim;
GRANT EXECUTE ON FUNCTION clinicq_api.delivery_settings, clinicq_api.take_deliveries, clinicq_api.renew_delivery, clinicq_api.delivery_done,
    clinicq_api.delivery_failed, clinicq_api.delivery_image TO clinicq_deliver;
GRANT EXECUTE ON FUNCTION clinicq_audit.spreadsheet_text, clinicq_audit.export, clinicq_audit.export_rows,
    clinicq_audit.snapshot_patients, clinicq_audit.patient_rows, clinicq_audit.snapshot_visits, clinicq_audit.visit_rows,
    clinicq_audit.snapshot_queues, clinicq_audit.queue_rows, clinicq_audit.snapshot, clinicq_audit.apply_retention,
    clinicq_audit.retention_due TO clinicq_admin, clinicq_auditor;
GRANT EXECUTE ON FUNCTION clinicq_audit.with_personal, clinicq_audit.counted TO clinicq_admin, clinicq_auditor;
GRANT EXECUTE ON FUNCTION clinicq_audit.patient_history, clinicq_audit.seal_now, clinicq_audit.verify, clinicq_audit.proof, clinicq_audit.consistency,
    clinicq_audit.export_events, clinicq_audit.export_seals TO clinicq_admin, clinicq_auditor;
