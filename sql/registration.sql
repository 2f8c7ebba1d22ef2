CREATE FUNCTION clinicq.next_registration_number(category text DEFAULT '01') RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_next_registration_number';
COMMENT ON FUNCTION clinicq.next_registration_number(text) IS
    'Takes the next registration number, in the format of the setting registration_number_format; two callers at once never get the same. '
    'Formats without placeholders count on a sequence and never wait (a number taken and not used leaves a gap); '
    '{MM}, {YY} and {CT} start a serial of their own for each prefix. '
    'Errors: 22023 category; 53400 no number left in this format. Who: admin, doctor, assistant.';
