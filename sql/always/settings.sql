-- Settings that are new in this version start at their defaults.
INSERT INTO clinicq.setting (name, value)
    SELECT s.name, s.default_value FROM clinicq.settings() s ON CONFLICT DO NOTHING;
