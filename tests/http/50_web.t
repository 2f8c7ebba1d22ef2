# Proves section 4.1 by replaying what the web app does, page by page, with the headers of a browser and
# reading the keys that its pages read: log-in, assistant, doctor (with 200 questions after an action),
# display, patients, and the form.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $origin = 'http://localhost:5173';
my $started = time;
my %token;
sub web ($role, $method, $path, %how) {
    my $reply = call($method => "/api$path", token => $token{$role}, %how, headers => { Origin => $origin, 'User-Agent' => 'Mozilla/5.0', Referer => "$origin/" });
    is($reply->{headers}{'access-control-allow-origin'}, $origin, "$method $path may be read by the page") if !$reply->{headers}{'access-control-allow-origin'};
    return $reply;
}
sub has ($object, $what, @keys) {
    my @missing = grep { !exists $object->{$_} } @keys;
    return ok(!@missing, "$what has @keys") || diag("missing: @missing");
}

# Log-in: what fails is 400, then token and me.
for my $role (qw(assistant doctor display)) {
    my ($username, $password) = split /:/, $ENV{"CLINICQ_\U$role"};
    is(login($username, 'not this one at all')->{status}, 400, "$role, a wrong password: 400");
    my $reply = call(POST => '/api/auth/login/', json => { username => $username, password => $password }, headers => { Origin => $origin });
    $token{$role} = $reply->{json}{token};
    my $me = web($role, GET => '/auth/me/')->{json};
    ok(ref $me->{roles} eq 'ARRAY' && grep({ $_ eq $role } @{ $me->{roles} }), "$role: me has roles");
    is($me->{username}, $username, '... and the username');
}
is(call(GET => '/api/auth/me/', headers => { Origin => $origin })->{status}, 401, 'after a reload there is no token: 401');

# The form: POST, then PUT with {name, phone, gender}.
my $name = new_name('Web Patient');
my $reply = web('assistant', POST => '/patients/', json => { name => $name, phone => '', gender => 'FEMALE' });
is($reply->{status}, 201, 'the form creates a patient');
my $number = $reply->{json}{registration_number};
has($reply->{json}, 'the patient', qw(registration_number name phone gender category));
$reply = web('assistant', POST => '/patients/', json => { name => '', phone => 'x' x 30, gender => 'F' });
ok($reply->{status} == 400 && ref $reply->{json} eq 'HASH' && !grep({ ref ne 'ARRAY' } values %{ $reply->{json} }), 'a refused form: an object of arrays, each of which it prints');
is(web('assistant', PUT => "/patients/$number/", json => { name => $name, phone => '0711', gender => 'FEMALE' })->{json}{phone}, '0711', 'the form changes it by PUT');

# Assistant: queues, search while typing, the first hit, its record, the visit with the queue as text.
my ($queue, $second) = (new_queue(name => new_name('Web A')), new_queue(name => new_name('Web B')));
my $queues = web('assistant', GET => '/queues/')->{json};
is(ref $queues, 'ARRAY', 'queues are a bare array');
has($queues->[0], 'a queue', qw(id name));
for my $typed (substr($name, 0, 14), $number) {
    my $hits = web('assistant', GET => '/patients/search/?q=' . $typed =~ s/ /%20/gr)->{json}{results};
    is($hits->[0]{registration_number}, $number, "typing '$typed' finds the patient first");
}
my $record = web('assistant', GET => "/patients/$number/")->{json};
has($record, 'the record', qw(registration_number name gender last_5_visit_dates phone));
$reply = web('assistant', POST => '/visits/', json => { patient => $number, queue => "$queue" });
is($reply->{status}, 201, 'the visit, with the queue as text');
like($reply->{json}{token_number}, qr/^[1-9]\d*$/, '... has a token to print');
is(web('assistant', POST => '/visits/', json => { patient => $number, queue => "$queue" })->{json}{token_number}, $reply->{json}{token_number}, 'a double click prints the same');

# Doctor: 200 visits; everything is asked again on load and after each action.
db("SELECT clinicq.open_visit(patient => clinicq.register_patient(name => 'Web crowd ' || n), queue => $queue) FROM generate_series(1, 199) n");
my %statuses;
sub reload {
    my $visits = web('doctor', GET => "/visits/?status=WAITING,START,IN_ROOM&queue=$queue")->{json}{results};
    my @numbers = map { $_->{patient_registration_number} } @$visits;
    my %patients;
    while (my @chunk = splice @numbers, 0, 50) {
        my $page = web('doctor', GET => '/patients/?registration_numbers=' . join ',', @chunk);
        $statuses{ $page->{status} }++;
        $patients{ $_->{registration_number} } = $_ for @{ $page->{json}{results} };
    }
    for my $visit (@$visits) { # the page asks for each one's images; they come later, the questions do now
        $statuses{ web('doctor', GET => "/visits/$visit->{id}/")->{status} }++;
    }
    return ($visits, \%patients);
}
my ($visits, $patients) = reload();
is(scalar @$visits, 200, 'the doctor sees all 200 on one page');
has($visits->[0], 'a visit', qw(id token_number status queue_name patient_full_name patient_registration_number created_at updated_at));
is(scalar keys %$patients, 200, '... and each patient, asked for by fifties');
has((values %$patients)[0], 'a patient there', qw(registration_number gender last_5_visit_dates));
my $first = (grep { $_->{patient_registration_number} eq $number } @$visits)[0];
for my $action (qw(start in_room send_back_to_waiting start in_room done)) {
    is(web('doctor', PATCH => "/visits/$first->{id}/$action/")->{status}, 200, "the doctor's $action, without a body");
    reload() if $action eq 'start';
}
is(join(' ', sort keys %statuses), '200', 'hundreds of questions in a row: never 429, nor anything else');
$reply = web('doctor', PATCH => "/visits/$visits->[5]{id}/done/");
ok($reply->{status} == 409 && length $reply->{json}{detail}, 'a wrong one has a detail that the page shows');

# Display: every five seconds, by display or doctor; the queue comes unchecked from the page's address.
for my $role (qw(display doctor)) {
    my $board = web($role, GET => "/visits/?status=WAITING,IN_ROOM&queue=$queue")->{json}{results};
    has($board->[0], "$role: the board", qw(id status token_number patient_full_name created_at));
    ok(!grep({ $_->{status} !~ /^(?:WAITING|IN_ROOM)$/ } @$board), '... has only these states');
    is(web($role, GET => '/queues/')->{status}, 200, '... and its queues');
}
is(web('display', GET => "/visits/?status=WAITING,IN_ROOM&queue=$_")->{status} >= 500, '', "the board of queue $_ is no failure") for qw(undefined null NaN abc), '', '%00', '..%2F';

# Patients: list, search, remove.
my $list = web('doctor', GET => '/patients/')->{json};
has($list->{results}[0], 'the list', qw(registration_number name gender phone last_5_visit_dates created_at));
is(web('doctor', DELETE => "/patients/$number/")->{status}, 204, 'the doctor removes the patient');
is(web('doctor', GET => '/patients/search/?q=' . $number)->{json}{count}, 0, '... and it is gone at once: nothing was kept in between');
is(web('assistant', DELETE => "/patients/$visits->[1]{patient}/")->{status}, 403, 'the assistant does not');
cmp_ok(time - $started, '<', 60, 'all of it in reasonable time');

done_testing;
