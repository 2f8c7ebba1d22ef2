-- Nobody but the owner reads or writes a table; everybody else goes through functions and views.
GRANT SELECT ON clinicq_audit.event TO clinicq_auditor;
GRANT SELECT ON clinicq_audit.emergencies TO clinicq_auditor, clinicq_admin;
