-- Texts of messages in this version. One that the clinic has changed stays. None has a patient's name.
INSERT INTO clinicq.message_template AS t (purpose, channel, language, subject, body, shipped)
SELECT s.purpose, s.channel, s.language, s.subject, s.body, true FROM (VALUES
    ('turn_near', 'sms', 'en', NULL, '{clinic}: token {token} for {queue} is number {place} in the queue. Please come to the waiting area.'),
    ('turn_near', 'sms', 'ur', NULL, '{clinic}: ٹوکن {token}، {queue}۔ قطار میں آپ کا نمبر {place} ہے۔ براہِ کرم انتظار گاہ میں تشریف لائیں۔'),
    ('turn_near', 'email', 'en', 'Your turn is near: token {token}', E'{clinic}\n\nToken {token} for {queue} is number {place} in the queue. Please come to the waiting area.\n'),
    ('turn_near', 'email', 'ur', 'آپ کی باری قریب ہے: ٹوکن {token}', E'{clinic}\n\nٹوکن {token}، {queue}۔ قطار میں آپ کا نمبر {place} ہے۔ براہِ کرم انتظار گاہ میں تشریف لائیں۔\n'),
    ('room', 'sms', 'en', NULL, '{clinic}: token {token}, please come to {room}.'),
    ('room', 'sms', 'ur', NULL, '{clinic}: ٹوکن {token}، آپ کی باری آ گئی ہے۔ براہِ کرم {room} میں تشریف لائیں۔'),
    ('room', 'email', 'en', 'Token {token}: please come to {room}', E'{clinic}\n\nIt is the turn of token {token} for {queue}. Please come to {room}.\n'),
    ('room', 'email', 'ur', 'ٹوکن {token}: براہِ کرم {room} میں تشریف لائیں', E'{clinic}\n\nٹوکن {token}، {queue}۔ آپ کی باری آ گئی ہے۔ براہِ کرم {room} میں تشریف لائیں۔\n'),
    ('desk', 'sms', 'en', NULL, '{clinic}: token {token} is called. Please come to the desk of {queue}.'),
    ('desk', 'sms', 'ur', NULL, '{clinic}: ٹوکن {token}، آپ کی باری آ گئی ہے۔ براہِ کرم {queue} کے کاؤنٹر پر تشریف لائیں۔'),
    ('desk', 'email', 'en', 'Token {token} is called', E'{clinic}\n\nIt is the turn of token {token}. Please come to the desk of {queue}.\n'),
    ('desk', 'email', 'ur', 'ٹوکن {token}: آپ کی باری آ گئی ہے', E'{clinic}\n\nٹوکن {token}، آپ کی باری آ گئی ہے۔ براہِ کرم {queue} کے کاؤنٹر پر تشریف لائیں۔\n'),
    ('password_reset', 'email', 'en', 'Your password at {clinic}', E'Somebody asked for a new password for your account at {clinic}. If it was you, set it here within {minutes} minutes:\n\n{link}\n\nIf it was not, you need not do anything: nothing has changed.\n'),
    ('daily_summary', 'email', 'en', '{clinic}, {day}', E'{clinic}, {day}\n\n{summary}\n')
) AS s (purpose, channel, language, subject, body)
ON CONFLICT (purpose, channel, language) DO UPDATE SET subject = excluded.subject, body = excluded.body
    WHERE t.shipped AND (t.subject, t.body) IS DISTINCT FROM (excluded.subject, excluded.body);
