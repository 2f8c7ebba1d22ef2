-- What a new local instance holds: users, queues, patients and a few visits of today.
-- docker/local/instance.sh sets the passwords and runs this as clinicq_dba, in one transaction.
SELECT clinicq.create_user(username => 'admin', roles => '{admin}', password => :'admin_password', demo => true);
SELECT clinicq.create_user(username => 'assistant', roles => '{assistant}', password => :'assistant_password', demo => true);
SELECT clinicq.create_user(username => 'doctor', roles => '{doctor}', password => :'doctor_password', demo => true);
SELECT clinicq.create_user(username => 'display', roles => '{display}', password => :'display_password', demo => true);

SELECT clinicq.create_queue(name => 'General', token_prefix => 'G') AS general,
       clinicq.create_queue(name => 'Eye', token_prefix => 'E') AS eye,
       clinicq.create_queue(name => 'Dental', token_prefix => 'D') AS dental \gset

SELECT clinicq.create_room(name => 'Room 1'), clinicq.create_room(name => 'Room 2');

SELECT clinicq.register_patient(name => 'Amina Yusuf', phone => '0701000001', gender => 'FEMALE') AS amina,
       clinicq.register_patient(name => 'Daniel Mensah', phone => '0701000002', gender => 'MALE') AS daniel,
       clinicq.register_patient(name => 'Farida Khan', phone => '0701000003', gender => 'FEMALE') AS farida,
       clinicq.register_patient(name => 'George Otieno', phone => '0701000004', gender => 'MALE') AS george,
       clinicq.register_patient(name => 'Lucia Santos', phone => '0701000005', gender => 'FEMALE') AS lucia,
       clinicq.register_patient(name => 'Tariq Aziz', phone => '0701000006', gender => 'OTHER') AS tariq \gset

SELECT * FROM clinicq.open_visit(patient => :'amina', queue => :general);
SELECT visit_id AS second FROM clinicq.open_visit(patient => :'daniel', queue => :general) \gset
SELECT * FROM clinicq.open_visit(patient => :'farida', queue => :general);
SELECT * FROM clinicq.open_visit(patient => :'george', queue => :eye);
SELECT * FROM clinicq.open_visit(patient => :'lucia', queue => :dental);
SELECT * FROM clinicq.start_visit(visit => :second);
