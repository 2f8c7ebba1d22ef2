-- Partitions of the audit log from this month to twelve months ahead, and one of each month
-- that the default partition does not already hold rows of.
DECLARE
    month timestamptz;
    partition text;
BEGIN
    FOR month IN
        SELECT date_trunc('month', now(), 'UTC') + make_interval(months => n) FROM generate_series(0, 12) n
    LOOP
        month := date_trunc('month', month, 'UTC');
        partition := to_char(month AT TIME ZONE 'UTC', '"audit_event_"YYYY_MM');
        CONTINUE WHEN to_regclass(format('clinicq.%I', partition)) IS NOT NULL
            OR EXISTS (SELECT FROM clinicq.audit_event_default
                       WHERE at >= month AND at < month + interval '1 month');
        EXECUTE format('CREATE TABLE clinicq.%I PARTITION OF clinicq.audit_event FOR VALUES FROM (%L) TO (%L)',
            partition, month, (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
        EXECUTE format('COMMENT ON TABLE clinicq.%I IS %L', partition,
            to_char(month AT TIME ZONE 'UTC', '"Audit events of "YYYY-MM" (UTC)."'));
    END LOOP;
END;
