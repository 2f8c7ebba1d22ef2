-- Settings that are new in this version start at their defaults.
INSERT INTO clinicq.setting (name, value)
    SELECT s.name, s.default_value FROM clinicq.settings() s ON CONFLICT DO NOTHING;

-- 244 random bits: gen_random_uuid() takes them from the system.
INSERT INTO clinicq.signing_key (name, key)
    SELECT k.name, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
    FROM (VALUES ('image'), ('reset')) AS k (name) ON CONFLICT DO NOTHING;
