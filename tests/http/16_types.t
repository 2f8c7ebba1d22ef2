# Proves section 1.7: the exact form of every value in every kind of reply, that every documented key
# is always there and no other, and which ids a path takes.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue(name => new_name('Eye'), token_prefix => 'E1');
my $patient = new_patient(phone => '0701', gender => 'FEMALE', category => '03');
my $visit = new_visit($queue, $patient->{registration_number});
my $user = new_user('doctor', 'assistant');

my $number = qr/^[0-9A-Z][0-9A-Z-]{0,14}$/;
my $date = qr/^\d{4}-\d\d-\d\d$/;
my $datetime = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z$/;
my %shape = (
    patient => {
        registration_number => [text => $number], name => [text => qr/^.+$/], phone => ['text or null' => qr/^.{0,20}$/],
        gender => [text => qr/^(?:MALE|FEMALE|OTHER)$/], category => [text => qr/^0[1-5]$/], created_at => [text => $datetime],
        updated_at => [text => $datetime], last_5_visit_dates => [list => $date],
    },
    visit => {
        id => [number => qr/^\d+$/], token_number => [number => qr/^[1-9]\d*$/], visit_date => [text => $date],
        status => [text => qr/^(?:WAITING|START|IN_ROOM|HELD|DONE|NO_SHOW|CANCELLED|TRANSFERRED)$/],
        created_at => [text => $datetime], updated_at => [text => $datetime], patient => [text => $number], queue => [number => qr/^\d+$/],
        patient_registration_number => [text => $number], patient_full_name => [text => qr/^.+$/], queue_name => [text => qr/^.+$/],
        token => [text => qr/^(?:[A-Z0-9]{1,4}-\d{3,}|\d+)$/], priority => [text => qr/^[a-z]\w*$/], room => ['text or null' => qr/^.+$/], follow => ['text or null' => qr/^[0-9a-f]{32}$/],
        notify => ['text or null' => qr/^(?:sms|email)$/],
    },
    queue => {
        id => [number => qr/^\d+$/], name => [text => qr/^.+$/], token_prefix => [text => qr/^[A-Z0-9]{0,4}$/],
        created_at => [text => $datetime], updated_at => [text => $datetime],
    },
    user => {
        id => [number => qr/^\d+$/], username => [text => qr/^\S+$/], roles => [list => qr/^[a-z]+$/], disabled => [boolean => qr/^[01]$/],
        email => ['text or null' => qr/^\S+@\S+$/],
        created_at => [text => $datetime], updated_at => [text => $datetime],
    },
    health => { status => [text => qr/^ok$/], service => [text => qr/^clinicq-backend$/], timestamp => [text => qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?\+00:00$/] },
    me => { username => [text => qr/^\S+$/], roles => [list => qr/^[a-z]+$/] },
);

# What JSON::PP keeps of a value: whether it was quoted.
sub kind ($value) {
    return 'null' if !defined $value;
    return 'list' if ref $value eq 'ARRAY';
    return 'boolean' if JSON::PP::is_bool($value);
    return ref $value if ref $value;
    return JSON::PP->new->allow_nonref->encode($value) =~ /^"/ ? 'text' : 'number';
}

sub shaped ($object, $shape, $what) {
    my @faults;
    my $want = $shape{$shape};
    push @faults, "keys are @{[sort keys %$object]}" if join(' ', sort keys %$object) ne join(' ', sort keys %$want);
    for my $key (sort keys %$want) {
        my ($type, $form) = @{ $want->{$key} };
        my $kind = kind($object->{$key});
        push @faults, "$key is $kind, not $type" if index($type, $kind) < 0;
        push @faults, "$key: $_" for grep { defined && !/$form/ } $kind eq 'list' ? @{ $object->{$key} } : $object->{$key};
    }
    return ok(!@faults, $what) || diag(join '; ', @faults);
}

sub seen ($path, $role = 'admin') { return call(GET => $path, as => $role)->{json} }
shaped($patient, 'patient', 'a patient as created');
shaped(seen("/api/patients/$patient->{registration_number}/"), 'patient', 'a patient as read');
shaped(call(PATCH => "/api/patients/$patient->{registration_number}/", as => 'assistant', json => { phone => undef })->{json}, 'patient', 'a patient as changed, without a phone');
shaped(seen('/api/patients/?registration_numbers=' . $patient->{registration_number})->{results}[0], 'patient', 'a patient in a list');
shaped(seen('/api/patients/search/?q=' . $patient->{registration_number})->{results}[0], 'patient', 'a patient as found');
shaped($visit, 'visit', 'a visit as opened');
shaped(seen("/api/visits/$visit->{id}/"), 'visit', 'a visit as read');
shaped(seen("/api/visits/$visit->{id}/", 'display'), 'visit', 'a visit as the display reads it');
shaped(seen("/api/visits/?queue=$queue")->{results}[0], 'visit', 'a visit in a list');
shaped(move($visit, 'start')->{json}, 'visit', 'a visit as moved');
shaped(call(PATCH => "/api/visits/$visit->{id}/", as => 'assistant', json => { queue => new_queue() })->{json}, 'visit', 'a visit as transferred');
shaped(seen("/api/queues/$queue/"), 'queue', 'a queue');
shaped($_, 'queue', "a queue in the list") for (seen('/api/queues/'))->[0];
shaped(call(PATCH => "/api/queues/$queue/", as => 'admin', json => {})->{json}, 'queue', 'a queue as changed');
shaped(seen("/api/users/$user->{id}/"), 'user', 'a user');
shaped(seen('/api/users/')->[-1], 'user', 'a user in the list');
shaped(seen('/api/auth/me/'), 'me', 'me');
shaped(seen('/api/health/'), 'health', 'health');
is_deeply(seen("/api/visits/$visit->{id}/"), { %{ seen("/api/visits/$visit->{id}/") }, patient => $patient->{registration_number},
    patient_registration_number => $patient->{registration_number}, patient_full_name => $patient->{name}, queue => $queue,
    queue_name => seen("/api/queues/$queue/")->{name} }, 'the copies in a visit are those of its patient and queue');
is(call(POST => '/api/patients/', as => 'assistant', json => { name => new_name() })->{headers}{location}, undef, '201 has no Location');

# A fraction that is zero is dropped, others have six digits.
db("UPDATE clinicq.patient SET created_at = '2026-03-01 12:00:00+05', updated_at = '2026-03-01 00:00:00.5Z' WHERE registration_number = '$patient->{registration_number}'");
my $dated = seen("/api/patients/$patient->{registration_number}/");
is($dated->{created_at}, '2026-03-01T07:00:00Z', 'UTC, no fraction where it is zero');
is($dated->{updated_at}, '2026-03-01T00:00:00.500000Z', 'six digits where it is not');

# A new record was saved once: both times are the same.
for my $fresh (new_patient(), new_visit($queue), seen('/api/queues/' . new_queue() . '/')) {
    is($fresh->{updated_at}, $fresh->{created_at}, 'created_at and updated_at of a new record are one');
}

# Ids in a path: what is none is 404, of every record.
my @not_ids = ('0', '-1', 'x', '1.5', '1e3', '0x1', '9223372036854775808', '99999999999999999999999999', '%31%00', '+1', '%2B1', '1%20', '%EF%BC%91', "1'--",
    '%D9%A1', '1,2', 'null', 'NaN', '%7B%7D', '%5B1%5D', '1%0A', '%');
for my $path ('/api/visits/%s/', '/api/queues/%s/', '/api/users/%s/') {
    for my $id (@not_ids, '9223372036854775807') {
        refused(call(GET => sprintf($path, $id), as => 'admin'), 404, 'detail', 'GET ' . sprintf $path, $id);
    }
}
for my $id (@not_ids) {
    refused(call(PATCH => "/api/visits/$id/start/", as => 'doctor'), 404, 'detail', "an action on visit $id");
    refused(call(PATCH => "/api/visits/$id/", as => 'doctor', json => { queue => $queue }), 404, 'detail', "a transfer of visit $id");
}
answers(call(GET => '/api/visits/' . $visit->{id} =~ s/(\d)/%3$1/gr . '/', as => 'doctor'), 200, 'an escaped digit is a digit');
answers(call(GET => "/api/visits/000$visit->{id}/", as => 'doctor'), 200, 'zeros in front do no harm');

# Numbers of patients in a path: either form.
my $with = $patient->{registration_number};
for my $form ($with, $with =~ tr/-//dr, $with =~ s/-/%2D/gr) {
    is(call(GET => "/api/patients/$form/", as => 'doctor')->{json}{registration_number}, $with, "/api/patients/$form/");
}
refused(call(GET => "/api/patients/$_/", as => 'doctor'), 404, 'detail', "no patient $_")
    for qw(01-00-0 x 99-99-998 01-00-001.json 01%2F00 %00 %FF 01-00-001%0A %F0%9F%98%80 ' -- %20 %2525), 'a' x 500;

done_testing;
