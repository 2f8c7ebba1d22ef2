-- :patients patients as a clinic would have after many years, without their audit events: first names
-- and surnames whose frequency falls as in life, some with a second name, three in four with a telephone.
SET client_min_messages = warning;
SET session_replication_role = replica;
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';

CREATE TEMP TABLE indexes AS SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index i WHERE indrelid = 'clinicq.patient'::regclass
        AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid);
SELECT format('DROP INDEX %s', name) FROM indexes \gexec

WITH given AS (SELECT string_to_array('Amina Mohammed Fatima Ibrahim Grace John Mary Joseph Aisha David Sarah Peter '
        'Ruth Daniel Esther Samuel Hannah Michael Naomi Emmanuel Asha Abdul Zainab Yusuf Blessing Paul Mercy James '
        'Halima Simon Joyce Moses Rehema George Agnes Stephen Lucy Charles Salma Patrick Alice Francis Khadija '
        'Anthony Beatrice Isaac Winnie Kevin Chinwe Brian Priya Rahul Anjali Vikram Lakshmi Arjun Nneka Chidi Ngozi '
        'Obinna Wanjiru Kamau Akinyi Otieno Adhiambo Ochieng Nyambura Mwangi Chebet Kiprono Achieng Barasa Deborah '
        'Elijah Florence Gideon Irene Jonathan Kezia Levi Miriam Nathan Olivia Philip Queen Rose Solomon Tabitha '
        'Uche Violet William Xavier Yvonne Zachary Åsa José Zoë Müller', ' ') AS names),
family AS (SELECT string_to_array('Hassan Otieno Mwangi Okafor Ali Kamau Patel Njoroge Adeyemi Khan Wanjala Mutua '
        'Odhiambo Abdi Kimani Omar Eze Singh Achieng Chukwu Mohamud Kariuki Bello Sharma Ouma Juma Balogun Reddy Okoth '
        'Ndungu Musa Rao Wekesa Kiplagat Farah Nair Okeke Maina Osei Mensah Gupta Owino Karanja Yusuf Barasa Cheruiyot '
        'Mbugua Das Onyango Muthoni Sow Diallo Keita Traore Kone Banda Phiri Mwale Tembo Zulu Ndlovu Moyo Dube Sibanda '
        'Ncube Khumalo Dlamini Mokoena Naidoo Botha Steyn Petersen Jacobs Fernandes Dsouza Pinto Mascarenhas Iyer Menon '
        'Pillai Joshi Kulkarni Deshmukh Chatterjee Mukherjee Banerjee Bhattacharya Sen Bose Roy Chowdhury Rahman Hossain '
        'Islam Uddin Ahmed Sheikh Qureshi Siddiqui Ansari Mirza Baig Wanyonyi Nakamura Oyelaran Abiodun Nwosu Obi Igwe', ' ') AS names)
INSERT INTO clinicq.patient (registration_number, name, phone, gender, category, created_at)
SELECT substr(serial, 1, 2) || '-' || substr(serial, 3, 2) || '-' || substr(serial, 5),
    given.names[1 + (cardinality(given.names) * power(random(), 1.7))::integer % cardinality(given.names)]
        || CASE WHEN n % 5 = 0 THEN ' ' || given.names[1 + (random() * 1000)::integer % cardinality(given.names)] ELSE '' END
        || ' ' || family.names[1 + (cardinality(family.names) * power(random(), 1.7))::integer % cardinality(family.names)],
    CASE WHEN n % 4 > 0 THEN '07' || lpad((random() * 99999999)::bigint::text, 8, '0') END,
    (ARRAY['MALE', 'FEMALE', 'OTHER'])[1 + n % 2], '0' || (1 + n % 5),
    now() - random() * interval '2000 days'
FROM generate_series(1, :patients) n, given, family,
    LATERAL (SELECT lpad((:first + n - 1)::text, 7, '0') AS serial) s;
SELECT setval('clinicq.registration_number_seq', :first + :patients) \g /dev/null

SELECT definition FROM indexes \gexec
VACUUM (ANALYZE) clinicq.patient;
CHECKPOINT;
