-- Routes of services outside, which have no token: they sign what they send.
ALTER TABLE clinicq.route ADD COLUMN signature text CHECK (signature IN ('twilio')),
    ADD CONSTRAINT route_signed_check CHECK (signature IS NULL OR (body = 'fields' AND who = '{anyone}'));
COMMENT ON COLUMN clinicq.route.signature IS 'Who signs its requests, with a key that only the shim has and by which it refuses others before the database is asked: twilio; NULL for nobody.';
