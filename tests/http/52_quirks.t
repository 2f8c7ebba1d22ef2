# Proves, row by row, that the quirks of section 6 are not there. Rows about prescriptions belong to a
# later part; that what comes later is absent now is proven at the end.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue();
my $visit = new_visit($queue);
my $none = new_user()->{token};
sub visit_path ($rest = '') { return "/api/visits/$visit->{id}/$rest" }

refused(call(PATCH => visit_path(), token => $none, json => { queue => $queue }), 403, 'detail', '1: no role changes no visit');
refused(call(GET => "/api/patients/$visit->{patient}/", token => $none), 403, 'detail', '2: no role reads no patient');
refused(call(PATCH => "/api/patients/$visit->{patient}/", as => 'display', json => { phone => '1' }), 403, 'detail', '2: a display writes none');
is(call(GET => "/api/patients/$visit->{patient}/", as => 'display')->{json}{phone}, undef, '2: a display gets no phone');
my $other = new_queue();
new_visit($other) for 1 .. 2;
is(call(PATCH => visit_path(), as => 'assistant', json => { queue => $other })->{json}{token_number}, 3, '4: another queue, another token');

# 5 and 6: many at once.
my $token = token('assistant');
sub burst ($path, @bodies) {
    my @sockets = map { connect_to() } @bodies;
    for my $i (0 .. $#bodies) {
        my $body = json($bodies[$i]);
        syswrite $sockets[$i], "POST $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $token\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    }
    return map { parse_reply(scalar read_all($_, 20)) } @sockets;
}
my @patients = burst('/api/patients/', map { { name => new_name('Burst') } } 1 .. 60);
is(scalar(grep { $_->{status} == 201 } @patients), 60, '6: sixty patients at once, none refused');
my %numbers = map { $_->{json}{registration_number} => 1 } @patients;
is(scalar keys %numbers, 60, '6: ... each with a number of its own');
my $fresh = new_queue();
my @visits = burst('/api/visits/', map { { patient => $_->{json}{registration_number}, queue => $fresh } } @patients);
is(scalar(grep { $_->{status} == 201 } @visits), 60, '5: sixty visits of a fresh queue at once, none refused');
is(join(' ', sort { $a <=> $b } map { $_->{json}{token_number} } @visits), join(' ', 1 .. 60), '5: ... with tokens 1 to 60');

# 9: a number is never free again; what hangs on a patient stays.
my $removed = new_patient()->{registration_number};
call(DELETE => "/api/patients/$removed/", as => 'doctor');
isnt(new_patient()->{registration_number}, $removed, '9: the number of the newest patient is not given again');
# 10: a change of one column leaves a parallel one of another.
my $both = new_patient(phone => '1')->{registration_number};
call(PATCH => "/api/patients/$both/", as => 'doctor', json => { gender => 'FEMALE' });
my $after = call(PATCH => "/api/patients/$both/", as => 'assistant', json => { phone => '2' })->{json};
is("$after->{gender} $after->{phone}", 'FEMALE 2', '10: only what was sent is written');
refused(call(GET => '/api/visits/?queue=eye', as => 'display'), 400, ['queue'], '11: a queue that is no number is 400');
answers(call(GET => visit_path() . '?status=DONE', as => 'doctor'), 200, '12: filters do not reach a detail');
answers(call(PATCH => visit_path('cancel/') . '?status=DONE&queue=0', as => 'doctor'), 409, '12: ... nor an action');
is(call(GET => $_, as => 'doctor')->{headers}{'cache-control'}, 'no-store', "13: $_ is not kept") for '/api/patients/', "/api/patients/$both/", '/api/patients/search/?q=x', '/api/queues/', '/api/visits/';
my $name = new_name('Changed');
call(PATCH => "/api/patients/$both/", as => 'assistant', json => { name => $name });
is(call(GET => "/api/patients/?registration_numbers=$both", as => 'doctor')->{json}{results}[0]{name}, $name, '13: what was written is read at once');
new_visit($queue, $both);
is(scalar @{ call(GET => "/api/patients/$both/", as => 'doctor')->{json}{last_5_visit_dates} }, 1, '13: ... dates of visits too');
is(scalar @{ call(GET => "/api/visits/?queue=$fresh&status=WAITING", as => 'display')->{json}{results} }, 60, '14: a display sees more than ten');
is(scalar @{ call(GET => '/api/patients/?registration_numbers=' . join(',', (sort keys %numbers)[0 .. 49]), as => 'doctor')->{json}{results} }, 50, '14: fifty numbers are not cut');
is($patients[0]{json}{created_at}, $patients[0]{json}{updated_at}, '19: a new patient is saved once');
answers(login((split /:/, $ENV{CLINICQ_DOCTOR}), headers => { Authorization => 'Token stale' }), 200, '21: a stale header does not stop log-in');
refused(call(POST => '/api/users/', as => 'admin', json => { username => 'x.y', roles => ['Doctor'] }), 400, ['roles'], '22: roles are lower-case, each once');
refused(call(GET => "/api/patients/$_/", as => 'doctor'), 404, 'detail', "24: $_ is no number") for '%D9%A0%D9%A1-00-001', "$both%0A", "$both%20%0a";
my $ali = new_patient(name => new_name('Ali'));
is(call(GET => "/api/patients/search/?q=$ali->{registration_number}", as => 'assistant')->{json}{results}[0]{registration_number}, $ali->{registration_number}, '25: the exact number first');
my $undashed = $both =~ tr/-//dr;
is(call(GET => "/api/patients/search/?q=$undashed", as => 'assistant')->{json}{results}[0]{registration_number}, $both, '26: found without dashes');
is(call(GET => "/api/patients/?registration_numbers=$undashed", as => 'assistant')->{json}{count}, 1, '26: ... by the filter too');
answers(call(HEAD => '/api/health/'), 200, '28: HEAD on health');
answers(call(HEAD => '/api/auth/me/', as => 'doctor'), 200, '28: ... and on me');
like(call(GET => '/nowhere/', headers => { Accept => 'text/html' })->{content}, qr/^\{"detail":/, '29: a 404 is JSON for a browser too');
answers(call(GET => '/api/health/', headers => { 'X-Forwarded-Host' => 'evil.example' }), 200, '29: no header of a proxy changes that');
is(wire("GET /api/health/ HTTP/1.1\r\nHost: unknown.example\r\nConnection: close\r\n\r\n")->{status}, 400, '29: another host than ours is not served');

# What is not offered is not half there.
for my $path ('/api/settings/', visit_path('transfer/')) {
    refused(call($_ => $path, as => 'admin', $_ eq 'GET' ? () : (json => {})), 404, 'detail', "$_ $path is not there") for qw(GET POST PATCH);
}
my %key = (headers => { 'Idempotency-Key' => 'one' });
my @made = map { call(POST => '/api/patients/', as => 'assistant', json => { name => new_name('Key') }, %key)->{status} } 1, 2;
is("@made", '201 422', 'an Idempotency-Key is looked at: another body with it is refused');

done_testing;
