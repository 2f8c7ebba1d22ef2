# Proves section 4.2 by replaying the Android app: boot, dashboard, both queue tabs, visit and patient
# details, the form, the public display, diagnostics, and the outbox that sends everything again.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my %agent = ('User-Agent' => 'okhttp/4.9.2');
my %token;
sub phone ($role, $method, $path, %how) {
    return call($method => "/api$path", token => $token{$role}, %how, headers => { %agent, %{ $how{headers} // {} } });
}
sub has ($object, $what, @keys) {
    my @missing = grep { !exists $object->{$_} } @keys;
    return ok(!@missing, "$what has @keys") || diag("missing: @missing");
}

# Boot: the stored token goes along with the log-in, however old it is.
for my $role (qw(assistant doctor display)) {
    my ($username, $password) = split /:/, $ENV{"CLINICQ_\U$role"};
    my $reply = login($username, $password, headers => { %agent, Authorization => 'Token ' . '0' x 40 });
    is($reply->{status}, 200, "$role logs in with a stale token at hand");
    $token{$role} = $reply->{json}{token};
    is_deeply(phone($role, GET => '/auth/me/')->{json}, { username => $username, roles => [$role] }, '... me has the lower-case role');
}

# The form: phone or null.
my $name = new_name('Phone Patient');
my $created = phone('assistant', POST => '/patients/', json => { name => $name, phone => undef, gender => 'OTHER' });
is($created->{status}, 201, 'a patient without a phone');
my $number = $created->{json}{registration_number};
is(phone('assistant', PATCH => "/patients/$number/", json => { name => $name, phone => '0722', gender => 'MALE' })->{json}{phone}, '0722', '... changed by PATCH');
is(phone('assistant', PATCH => "/patients/$number/", json => { name => $name, phone => undef, gender => 'MALE' })->{json}{phone}, undef, '... and back to none');

# Dashboard: count and the first of each state. All of today.
my $queue = new_queue();
my $visit = new_visit($queue, $number);
for my $status (qw(WAITING IN_ROOM DONE)) {
    my $list = phone('assistant', GET => "/visits/?status=$status")->{json};
    like($list->{count}, qr/^\d+$/, "$status has a count");
    has($list->{results}[0], '... its first', qw(id status patient_full_name queue_name)) if @{ $list->{results} };
}

# Queue tabs: blanks come as +, an assistant's move is 403.
is(phone('doctor', GET => '/patients/search/?q=' . $name =~ s/ /+/gr)->{json}{results}[0]{registration_number}, $number, 'a search with + for blanks');
has(phone('assistant', GET => '/visits/')->{json}{results}[0], 'a visit', qw(id status));
is(phone('assistant', PATCH => "/visits/$visit->{id}/start/")->{status}, 403, 'the assistant tabs: 403');
is(phone('doctor', PATCH => "/visits/$visit->{id}/done/")->{status}, 409, '"mark done" from WAITING: 409, on which the app reloads');
is(phone('doctor', PATCH => "/visits/$visit->{id}/start/", json => {})->{json}{status}, 'START', 'the doctor calls');
has(phone('doctor', GET => "/visits/$visit->{id}/")->{json}, 'the detail', qw(id status patient_full_name queue_name));
has(phone('doctor', GET => "/patients/$number/")->{json}, 'the patient', qw(name registration_number phone gender));
has(phone('doctor', GET => '/visits/')->{json}{results}[0], 'a visit there', qw(id queue_name status patient_registration_number));

# Public display: both lists, then each patient; a patient that cannot be read must not stop it.
phone('doctor', PATCH => "/visits/$visit->{id}/in_room/");
my %seen;
for my $status (qw(IN_ROOM WAITING)) {
    for my $shown (@{ phone('display', GET => "/visits/?status=$status")->{json}{results} }) {
        $seen{ $shown->{patient} }++;
        has($shown, 'on the board', qw(id status patient patient_registration_number created_at updated_at)) if keys %seen == 1;
        last if keys %seen >= 20;
    }
}
$seen{$number}++;
for my $each (sort keys %seen) {
    my $reply = phone('display', GET => "/patients/$each/");
    is($reply->{status}, 200, "the board reads patient $each");
    has($reply->{json}, '... it', qw(registration_number name phone gender category created_at updated_at last_5_visit_dates));
}
is(phone('display', GET => '/patients/99-99-998/')->{status}, 404, '... one that is not there is 404');

# Diagnostics, with a stale token too.
my $health = call(GET => '/api/health/', headers => { %agent, Authorization => 'Token old' });
has($health->{json}, 'health', qw(status service timestamp));
is($health->{json}{status}, 'ok', '... ok');

# Patients: the screen may ask in a tight loop.
my %loop;
$loop{ phone('assistant', GET => '/patients/')->{status} }++ for 1 .. 300;
is_deeply(\%loop, { 200 => 300 }, '300 lists in a row are answered');

# Outbox: writes made without a network are sent in order, twice, by runs that overlap. A 4xx would jam
# the queue for ever.
my $outbox_name = new_name('Offline');
my $other = new_visit($queue);
my @outbox = (
    [assistant => POST => '/patients/', json => { name => $outbox_name, phone => undef, gender => 'MALE' }],
    [assistant => PATCH => "/patients/$number/", json => { name => $name, phone => '0733', gender => 'MALE' }],
    [doctor => PATCH => "/visits/$other->{id}/start/"],
    [doctor => PATCH => "/visits/$other->{id}/in_room/"],
    [doctor => PATCH => "/visits/$other->{id}/done/"],
);
my $before = db("SELECT count(*) FROM clinicq.visit_event WHERE visit_id = $other->{id}");
for my $run (1 .. 3) {
    for my $entry (@outbox) {
        my $reply = phone(@$entry);
        like($reply->{status}, qr/^20[01]$/, "run $run: $entry->[1] $entry->[2] is $reply->{status}") or diag($reply->{content});
    }
}
is(db("SELECT count(*) FROM clinicq.patient WHERE name = '$outbox_name'"), 1, 'one patient came of it');
is(db("SELECT count(*) FROM clinicq.visit_event WHERE visit_id = $other->{id}") - $before, 3, '... and three moves');
is(phone('doctor', GET => "/visits/$other->{id}/")->{json}{status}, 'DONE', '... the visit is done');

# Runs overlap: the app has no lock, so two of them send the same entries beside each other, one step ahead or
# behind. Each entry is answered 200 or 201 in both, and done once.
{
    my $third = new_visit($queue);
    my $edited = new_patient()->{registration_number};
    my $alone = new_name('Overlap');
    my @entries = (
        [assistant => POST => '/patients/', { name => $alone, phone => undef, gender => 'FEMALE' }],
        [doctor => PATCH => "/visits/$third->{id}/start/", undef],
        [assistant => PATCH => "/patients/$edited/", { name => $alone, phone => '0744', gender => 'MALE' }],
        [doctor => PATCH => "/visits/$third->{id}/in_room/", undef],
        [doctor => PATCH => "/visits/$third->{id}/done/", undef],
    );
    my $send = sub ($n) {
        my ($role, $method, $path, $fields) = @{ $entries[$n] };
        my $text = $fields ? json($fields) : '';
        my $socket = connect_to();
        syswrite $socket, "$method /api$path HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $token{$role}\r\n"
            . 'Content-Type: application/json' . "\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
        return $socket;
    };
    my @statuses;
    for my $n (0 .. $#entries) {
        my @both = map { $send->($_) } $n, $n > 0 ? $n - 1 : ();
        push @statuses, map { parse_reply(scalar read_all($_))->{status} } @both;
    }
    push @statuses, map { parse_reply(scalar read_all($send->($_)))->{status} } 0 .. $#entries;
    is(join(' ', grep { !/^20[01]$/ } @statuses), '', 'overlapping runs and one after them: nothing jams');
    is(db("SELECT count(*) FROM clinicq.patient WHERE name = '$alone' AND phone IS NULL"), 1, '... one patient');
    is(db("SELECT status FROM clinicq.visit WHERE id = $third->{id}"), 'DONE', '... the visit is done');
    is(db("SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = $third->{id}"), 'open start in_room done', '... by three moves');
    is(db("SELECT count(*) FROM clinicq.visit WHERE patient_id = (SELECT patient_id FROM clinicq.visit WHERE id = $third->{id})"), 1, '... and no other came of it');
}

# The log-in that was stored is sent again with its body; it is just another log-in.
my ($username, $password) = split /:/, $ENV{CLINICQ_ASSISTANT};
is(phone('assistant', POST => '/auth/login/', json => { username => $username, password => $password })->{status}, 200, 'a stored log-in is replayed');

# Two runs at once make the same patient: still one. Sent together on connections of their own.
my $body = json({ name => my $twice = new_name('Together'), phone => undef, gender => 'OTHER' });
my @sockets = map { connect_to() } 1 .. 8;
for my $socket (@sockets) {
    syswrite $socket, "POST /api/patients/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $token{assistant}\r\nContent-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
}
my @replies = map { parse_reply(scalar read_all($_)) } @sockets;
is(join(' ', sort map { $_->{status} } @replies), '200 200 200 200 200 200 200 201', 'eight at once: one is created');
my %numbers = map { $_->{json}{registration_number} => 1 } @replies;
is(scalar keys %numbers, 1, '... and all have its number');

# The same for one visit.
my $patient = new_patient()->{registration_number};
$body = json({ patient => $patient, queue => $queue });
@sockets = map { connect_to() } 1 .. 8;
for my $socket (@sockets) {
    syswrite $socket, "POST /api/visits/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $token{assistant}\r\nContent-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
}
@replies = map { parse_reply(scalar read_all($_)) } @sockets;
is(join(' ', sort map { $_->{status} } @replies), '200 200 200 200 200 200 200 201', 'eight clicks at once: one visit');
my %tokens = map { $_->{json}{token_number} => 1 } @replies;
is(scalar keys %tokens, 1, '... with one token');
is(new_visit($queue)->{token_number}, (keys %tokens)[0] + 1, '... and none was lost');

done_testing;
