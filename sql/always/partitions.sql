-- Partitions of the audit log by months of UTC, the time zone here: this one and twelve ahead.
-- A month that the default partition already holds rows of stays there.
DECLARE
    month timestamptz;
    partition text;
BEGIN
    FOR month IN
        SELECT date_trunc('month', now()) + make_interval(months => n) FROM generate_series(0, 12) n
    LOOP
        partition := to_char(month, '"audit_event_"YYYY_MM');
        CONTINUE WHEN to_regclass(format('clinicq.%I', partition)) IS NOT NULL
            OR EXISTS (SELECT FROM clinicq.audit_event_default
                       WHERE at >= month AND at < month + interval '1 month');
        EXECUTE format('CREATE TABLE clinicq.%I PARTITION OF clinicq.audit_event FOR VALUES FROM (%L) TO (%L)',
            partition, month, month + interval '1 month');
        EXECUTE format('CREATE TRIGGER clinicq_audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON clinicq.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION clinicq.audit_refuse()', partition);
        EXECUTE format('COMMENT ON TABLE clinicq.%I IS %L', partition,
            to_char(month, '"Audit events of "YYYY-MM" (UTC)."'));
    END LOOP;
END;
