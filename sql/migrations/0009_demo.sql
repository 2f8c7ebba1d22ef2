ALTER TABLE clinicq.app_user ADD COLUMN is_demo boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN clinicq.app_user.is_demo IS 'True for a user of a demonstration, whose password others know; not for production.';
