-- Nobody but the owner reads or writes a table; everybody else goes through functions and views.
GRANT SELECT ON clinicq_audit.event TO clinicq_auditor;
GRANT SELECT ON clinicq_audit.emergencies TO clinicq_auditor, clinicq_admin;
GRANT SELECT ON clinicq_report.visits_per_day, clinicq_report.durations,
    clinicq_report.waiting_time, clinicq_report.waiting_time_per_month,
    clinicq_report.service_time, clinicq_report.service_time_per_month, clinicq_report.no_shows,
    clinicq_report.load_by_hour, clinicq_report.doctor_work, clinicq_report.registrations_per_month,
    clinicq_report.open_visits TO clinicq_admin, clinicq_reporter;
