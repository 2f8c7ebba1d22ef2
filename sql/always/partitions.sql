-- Partitions of the audit log by months of UTC, the time zone here: this one and twelve ahead.
-- A month that the default partition already holds rows of stays there.
DECLARE
    month timestamptz;
    partition text;
    lock_timeout text := current_setting('lock_timeout');
    tries integer := 0;
    locked boolean := false;
BEGIN
    FOR month IN
        SELECT m FROM (SELECT date_trunc('month', now()) + make_interval(months => n) AS m FROM generate_series(0, 12) n) AS t
        WHERE to_regclass(to_char(m, '"clinicq.audit_event_"YYYY_MM')) IS NULL
    LOOP
        -- One that attaches at a time; readers and writers go on.
        LOCK TABLE ONLY clinicq.audit_event IN SHARE UPDATE EXCLUSIVE MODE;
        partition := to_char(month, '"audit_event_"YYYY_MM');
        CONTINUE WHEN to_regclass(format('clinicq.%I', partition)) IS NOT NULL
            OR EXISTS (SELECT FROM clinicq.audit_event_default
                       WHERE at >= month AND at < month + interval '1 month');
        -- Who reads the whole log holds the default partition, and whoever comes next would wait behind us:
        -- so never for long.
        WHILE NOT locked LOOP
            BEGIN
                PERFORM set_config('lock_timeout', '50ms', true);
                LOCK TABLE clinicq.audit_event_default IN ACCESS EXCLUSIVE MODE;
                locked := true;
            EXCEPTION WHEN lock_not_available THEN
                tries := tries + 1;
                IF tries = 50 THEN
                    RAISE EXCEPTION 'the audit log was in use all the time, so that no partition could be made'
                        USING ERRCODE = 'lock_not_available', HINT = 'It is tried again. A transaction may have been open for long.';
                END IF;
                PERFORM pg_sleep(0.2);
            END;
            PERFORM set_config('lock_timeout', lock_timeout, true);
        END LOOP;
        CONTINUE WHEN EXISTS (SELECT FROM clinicq.audit_event_default WHERE at >= month AND at < month + interval '1 month');
        EXECUTE format('CREATE TABLE clinicq.%I (LIKE clinicq.audit_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
            'INCLUDING STORAGE INCLUDING COMPRESSION)', partition);
        EXECUTE format('CREATE TRIGGER clinicq_audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON clinicq.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION clinicq.audit_refuse()', partition);
        EXECUTE format('COMMENT ON TABLE clinicq.%I IS %L', partition,
            to_char(month, '"Audit events of "YYYY-MM" (UTC)."'));
        EXECUTE format('ALTER TABLE clinicq.audit_event ATTACH PARTITION clinicq.%I FOR VALUES FROM (%L) TO (%L)',
            partition, month, month + interval '1 month');
    END LOOP;
END;
