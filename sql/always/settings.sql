-- Settings that are new in this version start at their defaults.
INSERT INTO clinicq.setting (name, value)
    SELECT s.name, s.default_value FROM clinicq.settings() s ON CONFLICT DO NOTHING;

-- 244 random bits: gen_random_uuid() takes them from the system.
INSERT INTO clinicq.signing_key (name, key)
    SELECT 'image', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex') ON CONFLICT DO NOTHING;
