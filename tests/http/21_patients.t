# Proves sections 2.4 and 2.5: creating, reading, changing and removing a patient, the numbers, the same
# patient twice, last_5_visit_dates, and the filter by numbers.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $patients = '/api/patients/';
sub create ($body, $role = 'assistant') { return call(POST => $patients, as => $role, json => $body) }
sub change ($method, $number, $body, %how) { return call($method => "$patients$number/", as => 'assistant', json => $body, %how) }

# What is stored, as it was sent.
my $reply = create({ name => "  \t Amina \x{3000}Yusuf \n", phone => ' +254 (70) 1x ', gender => 'FEMALE', category => '05' });
answers($reply, 201, 'a patient');
my $patient = $reply->{json};
my $number = $patient->{registration_number};
like($number, qr/^\d\d-\d\d-\d{3}$/, '... with a number');
is_deeply([@$patient{qw(name phone gender category)}], ["Amina \x{3000}Yusuf", '+254 (70) 1x', 'FEMALE', '05'], '... trimmed, else as sent');
is_deeply($patient->{last_5_visit_dates}, [], '... no visits yet');
my $plain = create({ name => new_name() })->{json};
is_deeply([@$plain{qw(phone gender category)}], [undef, 'OTHER', '01'], 'what is left out: null, OTHER, 01');
is(create({ name => new_name(), phone => '' })->{json}{phone}, '', 'an empty phone stays empty');
is(create({ name => new_name(), phone => undef })->{json}{phone}, undef, 'a null phone stays null');
is(create({ name => new_name(), phone => 700123 })->{json}{phone}, '700123', 'a number is taken as text');
for my $name ('x', 'N' x 255, "e\x{301}" x 127, '😀' x 255, '李小龍', "O'Brien; DROP TABLE clinicq.patient; --", '<script>alert(1)</script>', 'a\\b"c%d_e', '{{7*7}} ${x}',
    "\x{200F}עברית", 'null', "A\x{200D}B", 'NULL') {
    my $made = create({ name => $name })->{json};
    is($made->{name}, $name, 'the name ' . substr $name, 0, 20);
    is(call(GET => "$patients$made->{registration_number}/", as => 'doctor')->{json}{name}, $name, '... as it is read again');
}
for my $role (qw(admin doctor assistant)) { answers(create({ name => new_name() }, $role), 201, "created by $role") }

# Numbers grow, and none comes twice.
my @numbers = map { new_patient()->{registration_number} } 1 .. 5;
is(join(' ', sort @numbers), join(' ', @numbers), 'numbers grow');
db("SELECT setval('clinicq.registration_number_seq', 567889 + 5000000)");
is(new_patient()->{registration_number}, '55-67-890', 'the number of a serial');
is(new_patient()->{registration_number}, '55-67-891', '... and the next');
db("SELECT setval('clinicq.registration_number_seq', 9999998)");
is(new_patient()->{registration_number}, '99-99-999', 'the last number of nine characters');
is(my $ten = new_patient()->{registration_number}, '10-00-0000', '... is followed by 10-00-0000');
is(new_patient()->{registration_number}, '10-00-0001', '... and that by 10-00-0001');
is(call(GET => "$patients$ten/", as => 'doctor')->{json}{registration_number}, $ten, 'it is found');
db("SELECT setval('clinicq.registration_number_seq', 99999999)");
$reply = create({ name => new_name() });
answers($reply, 503, 'past the last one there is a clear refusal');
like($reply->{json}{detail} // '', qr/number/, '... that says what is used up');
db("SELECT setval('clinicq.registration_number_seq', 6000000 + (extract(epoch FROM now())::bigint % 1000000))");

# The newer form: month, year, category, serial.
set_setting('registration_number_format', '{MM}{YY}-{CT}-####');
my $month = db("SELECT to_char(clinicq.service_day(), 'MMYY')");
my ($insured, $poor) = (new_patient(category => '02'), new_patient(category => '05'));
like($insured->{registration_number}, qr/^$month-02-\d{4}$/, 'a number with month, year and category');
like($poor->{registration_number}, qr/^$month-05-\d{4}$/, '... of another category');
my $serial = sub ($made) { return ($made =~ /(\d{4})$/)[0] };
is($serial->(new_patient(category => '02')->{registration_number}) - $serial->($insured->{registration_number}), 1, '... serials of their own');
$reply = change(PATCH => $insured->{registration_number}, { category => '04' });
is("$reply->{json}{category} $reply->{json}{registration_number}", "04 $insured->{registration_number}", 'a later category leaves the number');
is(call(GET => $patients . $insured->{registration_number} =~ tr/-//dr . '/', as => 'doctor')->{json}{registration_number}, $insured->{registration_number}, 'found without dashes');
set_setting('registration_number_format', '##-##-###');

# The same patient twice: once, for ten seconds and this user.
my %body = (name => new_name('Twice'), phone => '12', gender => 'MALE');
my $first = create(\%body);
my $again = create({ %body, name => "  $body{name} " });
answers($first, 201, 'a patient');
answers($again, 200, 'the same again: 200');
is_deeply($again->{json}, $first->{json}, '... with the one that is there');
answers(create({ %body, $_ => { phone => '13', gender => 'FEMALE', category => '02', name => "$body{name} x" }->{$_} }), 201, "another $_ is another patient") for qw(phone gender category name);
answers(create(\%body, 'doctor'), 201, 'from another user it is another one');
db("UPDATE clinicq.patient SET created_at = created_at - interval '11 seconds' WHERE name = '$body{name}'");
$again = create(\%body);
answers($again, 201, 'after ten seconds it is another one');
isnt($again->{json}{registration_number}, $first->{json}{registration_number}, '... with a number of its own');

# Changing.
my $updated = change(PATCH => $number, {});
answers($updated, 200, 'PATCH {}');
cmp_ok($updated->{json}{updated_at}, 'gt', $patient->{updated_at}, '... moves updated_at');
is_deeply({ %{ $updated->{json} }, updated_at => 0 }, { %$patient, updated_at => 0 }, '... and nothing else');
is(change(PATCH => $number, { phone => undef })->{json}{phone}, undef, 'PATCH a phone to null');
is(change(PATCH => $number, { phone => '1' })->{json}{phone}, '1', '... and back');
is(change(PATCH => $number, { gender => 'OTHER', registration_number => 'X', created_at => 'x', last_5_visit_dates => 3 })->{json}{gender}, 'OTHER', 'PATCH ignores read-only keys');
$reply = change(PUT => $number, { name => 'Amina Y.' });
is_deeply([@{ $reply->{json} }{qw(name phone gender category)}], ['Amina Y.', '1', 'OTHER', '05'], 'PUT with the name alone keeps the rest');
refused(change(PUT => $number, { phone => '2' }), 400, ['name'], 'PUT without the name');
refused(change(PATCH => $number, { name => undef, gender => '', category => undef, phone => 'x' x 21 }), 400, [qw(name phone gender category)], 'a change has the rules of a new one');
is(call(GET => "$patients$number/", as => 'doctor')->{json}{phone}, '1', '... and a refused one changes nothing');
for my $method (qw(GET PUT PATCH)) {
    refused(change($method => '99-99-998', { name => 'x' }), 404, 'detail', "$method of an unknown number");
    refused(call($method => "$patients$number/", as => 'display', $method eq 'GET' ? () : (json => { name => 'x' })), $method eq 'GET' ? 404 : 403, 'detail', "$method by a display");
}

# The five latest visits, newest first, today's and doubles included.
my @queues = map { new_queue() } 1 .. 3;
my $visitor = new_patient()->{registration_number};
db("INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number, status)
    SELECT p.id, q, day, 9000 + q % 1000, 'DONE' FROM clinicq.patient p, (VALUES ($queues[0], date '2026-01-03'), ($queues[1], '2026-01-03'),
    ($queues[2], '2026-01-01'), ($queues[0], '2026-01-02'), ($queues[1], '2025-12-31')) v(q, day) WHERE registration_number = '$visitor'");
my $today = new_visit($queues[2], $visitor)->{visit_date};
is_deeply(call(GET => "$patients$visitor/", as => 'doctor')->{json}{last_5_visit_dates}, [$today, qw(2026-01-03 2026-01-03 2026-01-02 2026-01-01)], 'last_5_visit_dates');

# The filter by numbers.
sub filtered ($list, @more) { return call(GET => "$patients?registration_numbers=$list" . join('', map { "&$_" } @more), as => 'doctor') }
my @three = map { new_patient()->{registration_number} } 1 .. 3;
sub found ($list) { return join ' ', map { $_->{registration_number} } @{ filtered($list)->{json}{results} } }
is(found(join ',', reverse @three), join(' ', @three), 'numbers asked for, by number');
is(found(join ',', map { tr/-//dr } @three), join(' ', @three), '... without dashes');
is(found("$three[0],,junk,x-y,%20,$three[0],99-99-998,%F0%9F%98%80"), $three[0], '... junk, doubles and unknown ones are dropped');
is(filtered('junk')->{json}{count}, 0, '... nothing kept: an empty page');
is(scalar @{ filtered(join ',', (('99-99-99') x 47), @three)->{json}{results} }, 3, 'fifty may be asked for');
refused(filtered(join ',', ('x') x 51), 400, 'registration_numbers', '... fifty-one not, whatever they are');
refused(filtered("$three[0],01234567890"), 400, 'registration_numbers', 'a number of eleven digits');
answers(filtered('0123456789'), 200, '... ten are a number');

# Removing: hidden, kept, its number never used again.
refused(call(DELETE => "$patients$visitor/", as => 'assistant'), 403, 'detail', 'an assistant removes nobody');
refused(call(DELETE => "$patients$visitor/", as => 'display'), 403, 'detail', '... nor a display');
$reply = call(DELETE => "$patients$visitor/", as => 'doctor');
refused($reply, 409, 'detail', 'not while a visit is open');
my $open = call(GET => '/api/visits/?queue=' . $queues[2], as => 'doctor')->{json}{results}[0];
call(PATCH => "/api/visits/$open->{id}/cancel/", as => 'assistant');
$reply = call(DELETE => "$patients$visitor/", as => 'doctor');
is("$reply->{status}|" . ($reply->{content} // ''), '204|', 'then it is 204');
refused(call(GET => "$patients$visitor/", as => 'doctor'), 404, 'detail', '... it is gone');
refused(call(DELETE => "$patients$visitor/", as => 'doctor'), 404, 'detail', '... once');
refused(change($_ => $visitor, { name => 'x' }), 404, 'detail', "... for $_") for qw(PUT PATCH);
is(found($visitor), '', '... from lists');
is(call(GET => "${patients}search/?q=$visitor", as => 'doctor')->{json}{count}, 0, '... from search');
refused(call(POST => '/api/visits/', as => 'assistant', json => { patient => $visitor, queue => $queues[0] }), 400, ['patient'], '... and takes no visit');
is(call(GET => "/api/visits/$open->{id}/", as => 'doctor')->{json}{patient}, $visitor, 'its visits remain');
is(db("SELECT count(*) FROM clinicq.patient p JOIN clinicq.visit v ON v.patient_id = p.id WHERE registration_number = '$visitor' AND removed_at IS NOT NULL"), 6, '... and so does the record');
answers(call(DELETE => "$patients$three[0]/", as => 'admin'), 204, 'an administrator may too');
isnt(new_patient()->{registration_number}, $three[2], 'numbers are not used again');
%body = (name => new_name('Gone'));
my $gone = create(\%body)->{json}{registration_number};
call(DELETE => "$patients$gone/", as => 'doctor');
answers(create(\%body), 201, 'one that was removed is no double');

done_testing;
