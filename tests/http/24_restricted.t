# Proves restricted patients and emergency access over HTTP: 403 with a problem type of its own, masked
# rows with every key that the apps read, searches that find nobody, and the way of an emergency from
# its reason to its review.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $last = 'Zz' . lc new_name('q') =~ tr/ //dr;
my $patient = new_patient(name => "Pearl $last", phone => '0311-4455667', gender => 'FEMALE');
my $number = $patient->{registration_number};
my $path = "/api/patients/$number/";
my $queue = new_queue();
my $visit = new_visit($queue, $number);
my ($named, $doctor) = (new_user('doctor'), new_user('doctor'));
sub as ($user, $method, $path, $body = undef, %how) { return call($method => $path, token => $user->{token}, defined $body ? (json => $body) : (), %how) }
sub admin ($method, $path, $body = undef) { return call($method => $path, as => 'admin', defined $body ? (json => $body) : ()) }

# The list.
is_deeply(admin(GET => "${path}access/")->{json}, { registration_number => $number, restricted => JSON::PP::false, users => [] }, 'at first nobody is on the list');
my $reply = admin(PATCH => "${path}access/", { restricted => JSON::PP::true });
ok($reply->{status} == 200 && $reply->{json}{restricted}, 'an administrator restricts a patient');
answers(admin(POST => "${path}access/", { username => $named->{username} }), 201, '... and names a user');
$reply = admin(POST => "${path}access/", { username => $named->{username} });
answers($reply, 200, '... who is named already');
is_deeply([map { $_->{username} } @{ $reply->{json}{users} }], [$named->{username}], '... once');
refused(admin(POST => "${path}access/", { username => 'no.such.user' }), 400, ['username'], 'nobody can be named who is no user');
refused(admin(POST => "${path}access/", {}), 400, ['username'], 'a user is named by name');
refused(admin(PATCH => "${path}access/", { restricted => 'yes' }), 400, ['restricted'], 'restricted is true or false');
refused(admin($_ => '/api/patients/98-98-998/access/', { restricted => JSON::PP::true, username => $named->{username} }), 404, 'detail', "$_ of no patient") for qw(GET PATCH POST);
for my $role (qw(doctor assistant display)) {
    refused(call($_->[0] => $path . $_->[1], as => $role, json => {}), 403, 'detail', "$role: no $_->[0] $_->[1]")
        for ['GET', 'access/'], ['PATCH', 'access/'], ['POST', 'access/'], ['DELETE', "access/$named->{username}/"];
}

# Who is not on it.
my %other = (doctor => $doctor->{token}, map { ($_ => token($_)) } qw(assistant admin));
my $secret = qr/Pearl|\Q$last\E|4455667|FEMALE/;
for my $role (sort keys %other) {
    my @who = (token => $other{$role});
    for my $try (['GET'], ['PUT', { name => 'X' }], ['PATCH', { phone => '1' }], $role eq 'assistant' ? () : ['DELETE']) {
        my $reply = call($try->[0] => $path, @who, defined $try->[1] ? (json => $try->[1]) : ());
        refused($reply, 403, 'detail', "$role: $try->[0] is refused");
        unlike($reply->{content}, qr/$secret|\Q$number\E/, '... without a word of the patient');
    }
    my $problem = call(GET => $path, @who, accept => 'application/problem+json');
    is($problem->{json}{type} =~ s{.*[/:]}{}r, 'restricted', "$role: a problem type of its own");
    like($problem->{json}{detail}, qr/emergency/, '... that tells of emergencies');
    for my $place ("/api/patients/?registration_numbers=$number", "/api/patients/search/?q=$number", "/api/visits/?queue=$queue", "/api/visits/$visit->{id}/") {
        my $reply = call(GET => $place, @who);
        ok($reply->{status} == 200 && $reply->{content} =~ /\Q$number\E/ && $reply->{content} =~ /"Restricted"/, "$role: $place has the number and a masked name");
        unlike($reply->{content}, $secret, '... and nothing else');
    }
    is(call(GET => "/api/patients/search/?q=$_", @who)->{json}{count}, 0, "$role: $_ finds nobody") for $last, "Pearl%20$last", '0311-4455667', '4455667';
}
my $masked = call(GET => "/api/patients/?registration_numbers=$number", as => 'assistant')->{json}{results}[0];
is_deeply([sort keys %$masked], [sort keys %$patient], 'a masked row has every key');
like($masked->{created_at}, qr/^\d{4}-\d\d-\d\dT/, '... and times that are times');
is(call(GET => $path, as => 'display')->{json}{name}, '', 'a display shows no name');
is(call(GET => "/api/visits/?queue=$queue", as => 'display')->{json}{results}[0]{patient_full_name}, '', '... in no list');

# Who is: all as before; and the queue goes on for everybody.
is(as($named, GET => $path)->{json}{name}, "Pearl $last", 'who is named reads the record');
is(as($named, GET => "/api/patients/search/?q=$last")->{json}{count}, 1, '... finds it');
is(as($named, GET => "/api/visits/?queue=$queue")->{json}{results}[0]{patient_full_name}, "Pearl $last", '... and sees the name in the queue');
answers(as($named, PATCH => $path, { phone => '0311-4455668' }), 200, '... and changes it');
for my $step (qw(start in_room done)) {
    $reply = as($doctor, PATCH => "/api/visits/$visit->{id}/$step/");
    ok($reply->{status} == 200 && $reply->{json}{patient_full_name} eq 'Restricted', "$step by another: done, masked");
}
is(new_visit($queue, $number)->{patient_full_name}, 'Restricted', 'an assistant opens a visit');

# An emergency.
my $emergency = "${path}emergency/";
refused(as($doctor, POST => $emergency, { reason => $_ }), 400, ['reason'], 'the reason ' . json($_)) for '', 'short', 'x' x 501, undef, [], JSON::PP::true;
refused(as($doctor, POST => $emergency, {}), 400, ['reason'], 'no reason');
refused(call(POST => $emergency, as => $_, json => { reason => 'brought in unconscious' }), 403, 'detail', "$_ has none") for qw(assistant display);
refused(as($named, POST => $emergency, { reason => 'brought in unconscious' }), 409, 'detail', 'who is named needs none');
refused(as($doctor, POST => '/api/patients/98-98-998/emergency/', { reason => 'brought in unconscious' }), 404, 'detail', 'none of no patient');
set_setting('emergency_access_minutes', 30);
my $opened = as($doctor, POST => $emergency, { reason => 'brought in unconscious' });
answers($opened, 201, 'a doctor opens the record');
is_deeply([sort keys %{ $opened->{json} }], [qw(id opened_at opened_by patient reason review reviewed_at reviewed_by until)], '... the emergency');
is(db("SELECT '$opened->{json}{until}'::timestamptz - '$opened->{json}{opened_at}'::timestamptz"), '00:30:00', '... for the time that the setting says');
set_setting('emergency_access_minutes', 60);
is(as($doctor, GET => $path)->{json}{name}, "Pearl $last", '... and reads it');
$reply = as($doctor, POST => $emergency, { reason => 'a second time, the same' });
is_deeply([$reply->{status}, $reply->{json}], [200, $opened->{json}], 'a second emergency is the first one, and extends nothing');
answers(call(GET => $path, token => new_user('doctor')->{token}), 403, 'it is open to nobody else');

# Its review.
my $mine = admin(GET => '/api/emergency/?reviewed=false&page_size=200')->{json}{results};
is_deeply((grep { $_->{id} == $opened->{json}{id} } @$mine)[0], $opened->{json}, 'it waits for review');
my $auditor = new_user('auditor');
answers(as($auditor, GET => '/api/emergency/'), 200, 'auditors see the list');
answers(as($doctor, GET => '/api/emergency/'), 403, 'doctors do not');
refused(admin(GET => '/api/emergency/?reviewed=x'), 400, ['reviewed'], 'reviewed=x');
refused(admin(GET => '/api/emergency/?cursor=x'), 400, ['cursor'], 'cursor=x');
my $one = "/api/emergency/$opened->{json}{id}/";
refused(admin(PATCH => $one, { review => $_ }), 400, ['review'], 'the review ' . json($_)) for '', ' ', 'x' x 1001, undef;
refused(as($auditor, PATCH => $one, { review => 'fine' }), 403, 'detail', 'an auditor closes none');
refused(admin(PATCH => "/api/emergency/$_/", { review => 'fine' }), 404, 'detail', "no emergency $_") for 0, 'x', '999999999', '99999999999999999999';
my $both = new_user('admin', 'doctor');
my $own = as($both, POST => $emergency, { reason => 'I am in charge here' });
refused(as($both, PATCH => "/api/emergency/$own->{json}{id}/", { review => 'fine' }), 403, 'detail', 'nobody reviews his own');
$reply = admin(PATCH => $one, { review => 'Right.' });
ok($reply->{status} == 200 && $reply->{json}{review} eq 'Right.' && $reply->{json}{reviewed_by} eq 'admin', 'an administrator closes the review');
answers(as($doctor, GET => $path), 403, '... and the access with it');
refused(admin(PATCH => $one, { review => 'Wrong.' }), 409, 'detail', '... once');

# The list by pages.
my @walked;
for (my $at = '/api/emergency/?page_size=1'; defined $at && @walked < 50;) {
    my $page = admin(GET => $at);
    push @walked, map { $_->{id} } @{ $page->{json}{results} };
    is(defined $page->{json}{next}, defined $page->{headers}{link}, 'a next page has a Link header too') if @walked == 1;
    $at = defined $page->{json}{next} ? $page->{json}{next} =~ s/^\Q$ENV{CLINICQ_URL}\E//r : undef;
}
is_deeply(\@walked, [map { $_->[0] } db_rows('SELECT id FROM clinicq_audit.emergencies ORDER BY id DESC')], 'walked by cursor: each once, the newest first');

# Off the list, and open to all again.
answers(admin(DELETE => "${path}access/$named->{username}/"), 204, 'a user is taken from the list');
refused(admin(DELETE => "${path}access/$named->{username}/"), 404, 'detail', '... once');
answers(as($named, GET => $path), 403, '... and reads no more');
answers(admin(PATCH => "${path}access/", { restricted => JSON::PP::false }), 200, 'the restriction ends');
is(call(GET => $path, as => 'assistant')->{json}{name}, "Pearl $last", '... for everybody');
refused(as($doctor, POST => $emergency, { reason => 'brought in unconscious' }), 409, 'detail', '... and no emergency is needed');

done_testing;
