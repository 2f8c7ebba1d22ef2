DECLARE
    audited record;
    leaf regclass;
BEGIN
    -- Audit: the first argument is the key, of several columns with commas between; the others are columns whose
    -- values are secret, or with personal: in front those that can be erased later.
    FOR audited IN
        SELECT t.name, t.arguments[1] AS key, (SELECT string_agg(quote_literal(a), ', ' ORDER BY n) FROM unnest(t.arguments) WITH ORDINALITY AS u (a, n)) AS arguments
        FROM (VALUES
            ('patient', ARRAY['id', 'personal:name', 'personal:phone']),
            ('patient_access', ARRAY['id']),
            ('visit', ARRAY['id', 'follow_code']),
            ('queue', ARRAY['id']),
            ('clinic', ARRAY['id']),
            ('room', ARRAY['id']),
            ('room_session', ARRAY['room_id']),
            ('priority_class', ARRAY['clinic_id,rank']),
            ('app_user', ARRAY['id', 'password_hash', 'personal:email']),
            ('visit_contact', ARRAY['visit_id', 'personal:address']),
            ('message_template', ARRAY['purpose,channel,language']),
            ('prescription', ARRAY['id']),
            ('image', ARRAY['id']),
            ('signing_key', ARRAY['name', 'key']),
            ('webhook', ARRAY['id']),
            ('setting', ARRAY['name'])) AS t (name, arguments)
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER clinicq_audit AFTER INSERT OR UPDATE OR DELETE ON clinicq.%I '
            'FOR EACH ROW EXECUTE FUNCTION clinicq.audit_row(%s)', audited.name, audited.arguments);
        EXECUTE format('CREATE OR REPLACE TRIGGER clinicq_audit_truncate AFTER TRUNCATE ON clinicq.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION clinicq.audit_row(%L)', audited.name, audited.key);
    END LOOP;

    -- A statement that names a partition fires none of its parent's triggers for statements.
    FOR leaf IN
        SELECT unnest(ARRAY['clinicq.audit_event', 'clinicq.audit_leaf', 'clinicq.audit_node', 'clinicq.audit_seal']::regclass[])
        UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'clinicq.audit_event'::regclass
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER clinicq_audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
            'FOR EACH STATEMENT EXECUTE FUNCTION clinicq.audit_refuse()', leaf);
    END LOOP;
END;

-- Only the functions that erase may delete.
CREATE OR REPLACE TRIGGER clinicq_audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON clinicq.audit_personal
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.audit_refuse('erase');

-- What backends keep in memory is dropped when these change.
CREATE OR REPLACE TRIGGER clinicq_forget AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON clinicq.setting
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.forget_trigger();
CREATE OR REPLACE TRIGGER clinicq_forget AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON clinicq.clinic
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.forget_trigger();
CREATE OR REPLACE TRIGGER clinicq_forget AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON clinicq.route
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.forget_trigger();

CREATE OR REPLACE TRIGGER clinicq_forget AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON clinicq.priority_class
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.forget_trigger();

-- Events get their places in the feed as soon as they are committed.
CREATE OR REPLACE TRIGGER clinicq_feed AFTER INSERT ON clinicq.visit_event
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.feed_wake();

-- Deliveries are sent as soon as they are committed.
CREATE OR REPLACE TRIGGER clinicq_outbox AFTER INSERT ON clinicq.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION clinicq.outbox_wake();

-- Reports count a past day anew once one of its visits changes. The function looks whether it is past:
-- a WHEN clause is parsed for each statement, and cost a move 18 %.
CREATE OR REPLACE TRIGGER clinicq_stale AFTER INSERT OR UPDATE OR DELETE ON clinicq.visit
    FOR EACH ROW EXECUTE FUNCTION clinicq.mark_stale_day();

-- Which events there are is a matter of code, so it is said with it.
COMMENT ON COLUMN clinicq.visit_event.move IS 'Name of the move: open, start, in_room, send_back, done, no_show, recall, cancel, transfer, hold, resume, announce (called once more), priority (another class, in the same status), undo, day_end.';
COMMENT ON COLUMN clinicq.audit_event.action IS 'INSERT, UPDATE, DELETE or TRUNCATE of a table; READ, SEARCH, REFUSED (counted); LOG_IN, LOG_OUT, REFRESH_REUSED, TOTP, RECOVERY_CODE, RESET_REQUESTED, PASSWORD_RESET, EMERGENCY, ERASE, EXPORT, RETENTION.';
