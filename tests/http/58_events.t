# Proves the streams of events: the snapshot first, then each move in order and once, across reconnects and
# over two shims; filtered by queue and role; they end with their session, and in order when the shim stops;
# slow readers are dropped and miss nothing; limits, heartbeat, refusals. Without a keeper, a second late at the most.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Screen;
use Test::More;

my $queue = new_queue();
my $other = new_queue();
my $patient = new_patient(name => 'Ravi Menon');
my $visit = new_visit($queue, $patient->{registration_number});

sub moves ($screen) { return join ' ', map { $_->{event} eq 'visit' ? $_->{data}{move} : $_->{event} } @{ $screen->{seen} } }
sub metric ($name, $url = $ENV{CLINICQ_METRICS_URL}) { return call(GET => '/metrics', url => $url)->{content} =~ /^clinicq_$name (\d+)/m ? $1 : -1 }

# The snapshot, then what follows.
my $screen = Screen->new("/api/queues/$queue/events", as => 'doctor');
my ($first) = $screen->events(1);
is($screen->{status}, 200, 'a stream of a queue');
like($screen->{head}, qr{^Content-Type: text/event-stream\r?$}mi, '... is of that type');
like($screen->{head}, qr/^Cache-Control: no-store\r?$/mi, '... and kept by nobody');
like($screen->{head}, qr/^X-Accel-Buffering: no\r?$/mi, '... nor held back by a proxy');
unlike($screen->{head}, qr/^Feed-/mi, '... what the database tells the shim stays there');
is($screen->{retries}, 1, 'the time to come back after is told');
is("$first->{event} $first->{id} " . @{ $first->{data}{visits} }, "snapshot $first->{data}{position} 1", 'first a snapshot, with its position as id');
my $whole = call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json};
delete @$whole{qw(patient follow notify)};
is_deeply($first->{data}{visits}[0], $whole, '... of visits as elsewhere');
move($visit, 'start');
move($visit, 'in_room');
move($visit, 'done');
my $elsewhere = new_visit($other);
my $second = new_visit($queue);
$screen->events(@{ $first->{data}{visits} } ? 5 : 0);
like(moves($screen), qr/^snapshot (?:open )?start in_room done open$/, 'then each move in its order, of this queue alone');
my @ids = map { $_->{id} } @{ $screen->{seen} };
is_deeply(\@ids, [sort { $a <=> $b } @ids], 'positions grow');
my ($done) = grep { ($_->{data}{move} // '') eq 'done' } @{ $screen->{seen} };
is_deeply([@{ $done->{data} }{qw(from_status position)}], ['IN_ROOM', $done->{id}], 'what an event says');
$whole = call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json};
delete @$whole{qw(patient follow notify)};
is_deeply($done->{data}{visit}, $whole, '... with the whole visit as it is then');

# Replay.
my $again = Screen->new("/api/queues/$queue/events", as => 'doctor', last => $first->{id});
my $count = @{ $screen->{seen} } - 1;
is(join(' ', map { $_->{id} } $again->events($count)), join(' ', @ids[1 .. $#ids]), 'Last-Event-ID goes on behind it, without a snapshot');
my $by_parameter = Screen->new("/api/queues/$queue/events?last_event_id=$first->{id}", as => 'doctor');
is(scalar($by_parameter->events($count)), $count, 'as does the parameter last_event_id');
my $browser_back = Screen->new("/api/queues/$queue/events?last_event_id=$first->{id}", as => 'doctor', last => $ids[-2]);
is(($browser_back->events(1))[0]{id}, $ids[-1], '... behind which the header goes');
for my $wrong ('999999999', 'abc', '-5', '99999999999999999999999') {
    my $odd = Screen->new("/api/queues/$queue/events", as => 'doctor', last => $wrong);
    is(($odd->events(1))[0]{event}, 'snapshot', "Last-Event-ID $wrong: a snapshot");
}
$_->close for $again, $by_parameter, $browser_back;
my $board = Screen->new('/api/board/events', as => 'assistant');
is(scalar(grep { $_->{id} == $elsewhere->{id} || $_->{id} == $second->{id} } @{ ($board->events(1))[0]{data}{visits} }), 2, 'the board has all queues');

# By role.
my $display = Screen->new("/api/queues/$queue/events", as => 'display');
$display->events(1);
my $named = new_visit($queue, $patient->{registration_number});
$display->events(2);
is($display->{seen}[1]{data}{visit}{patient_full_name}, 'R. M.', 'a display sees initials');
ok(!exists $display->{seen}[1]{data}{visit}{patient_registration_number}, '... and no number');
set_setting(display_names => 'none');
move($named, 'cancel', as => 'assistant');
$display->events(3);
is($display->{seen}[2]{data}{visit}{patient_full_name}, '', '... or no name, by the setting');
set_setting(display_names => 'initials');
my $secret = new_patient(name => 'Hidden Person');
call(PATCH => "/api/patients/$secret->{registration_number}/access/", as => 'admin', json => { restricted => JSON::PP::true });
my $hidden = new_visit($queue, $secret->{registration_number});
my ($found, $shown);
ok($screen->until(sub { ($found) = grep { ($_->{data}{visit}{id} // 0) == $hidden->{id} } @{ $screen->{seen} } }), 'a restricted patient');
is($found->{data}{visit}{patient_full_name}, 'Restricted', '... is named to nobody');
ok($display->until(sub { ($shown) = grep { ($_->{data}{visit}{id} // 0) == $hidden->{id} } @{ $display->{seen} } }) && $shown->{data}{visit}{patient_full_name} eq '', '... nor on a display');

# Refusals as elsewhere.
answers(call(GET => "/api/queues/$queue/events"), 401, 'no token');
answers(call(GET => '/api/queues/999999/events', as => 'doctor'), 404, 'no such queue');
answers(call(GET => '/api/queues/abc/events', as => 'doctor'), 404, 'no such id');
answers(call(POST => '/api/board/events', as => 'doctor', json => {}), 405, 'another method');
answers(call(GET => '/api/board/events', token => new_user('reporter')->{token}), 403, 'another role');
is(wire("HEAD /api/board/events HTTP/1.1\r\nHost: a\r\nAuthorization: Token " . token('doctor') . "\r\nConnection: close\r\n\r\n")->{status}, 200, 'HEAD is answered and ends');
is(metric('event_connection_up'), 1, 'metrics: the feed is read');
cmp_ok(metric('event_streams'), '>=', 3, '... and streams are counted');

# With a cookie, as browsers send it.
my $user = new_user('assistant');
my $session = call(POST => '/api/auth/login/', json => { username => $user->{username}, password => $user->{password}, cookie => JSON::PP::true }, headers => { Origin => 'http://localhost:5173' });
if (($session->{headers}{'set-cookie'} // '') =~ /^([^;]+)/) {
    my $browser = Screen->new('/api/board/events', as => 'doctor', headers => "Cookie: $1\r\n");
    is(($browser->events(1))[0]{event}, 'snapshot', 'a session in a cookie does');
} else {
    diag("no cookie: $session->{status} $session->{content}");
}

# A shim with short times: heartbeat, sessions, limits, the end.
my $shim = start_shim(CLINICQ_HEARTBEAT_MS => 300, CLINICQ_STREAM_CHECK_MS => 300, CLINICQ_STREAMS => 5, CLINICQ_USER_STREAMS => 2);
my $guest = new_user('assistant');
my $ended = Screen->new('/api/board/events', token => $guest->{token}, url => $shim->{url});
ok($ended->until(sub { $ended->{beats} >= 3 }), 'heartbeats');
my $pair = Screen->new('/api/board/events', token => $guest->{token}, url => $shim->{url});
ok($pair->until(sub { @{ $pair->{seen} } }), 'two streams of one user');
answers(call(GET => '/api/board/events', token => $guest->{token}, url => $shim->{url}), 503, '... a third is one too many');
my $used = db("SELECT max(last_used_at) FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id WHERE u.id = $guest->{id}");
ok(defined $used, 'the session is there');
call(POST => '/api/auth/logout/', token => $guest->{token});
ok($ended->until(sub { $ended->{end} }) && $pair->until(sub { $pair->{end} }), 'log-out ends the streams, in order');
my $quick = new_user('assistant');
my @held = map { Screen->new('/api/board/events', token => $quick->{token}, url => $_) } $ENV{CLINICQ_URL}, $shim->{url};
$_->events(1) for @held;
my $elder = Screen->new('/api/board/events', token => login($quick->{username}, $quick->{password})->{json}{token});
$elder->events(1);
my $began = time;
call(POST => '/api/auth/logout/', token => $quick->{token});
ok($held[0]->until(sub { $held[0]{end} }, 10) && time - $began < 5, '... at once, whichever shim was told');
ok(!$elder->until(sub { $elder->{closed} }, 0.5), '... and another session of the user has its own');
my $barred = new_user('assistant');
my $revoked = Screen->new('/api/board/events', token => $barred->{token}, url => $shim->{url});
$revoked->events(1);
db("DELETE FROM clinicq.session WHERE user_id = $barred->{id}");
ok($revoked->until(sub { $revoked->{end} }), 'so does the end of the session by others');
my @many = map { Screen->new('/api/board/events', token => new_user('display')->{token}, url => $shim->{url}) } 1 .. 5;
$_->events(1) for @many;
answers(call(GET => '/api/board/events', as => 'doctor', url => $shim->{url}), 503, 'past CLINICQ_STREAMS');
$shim->signal('TERM');
is(scalar(grep { $_->until(sub { $_[0]{end} }) && $_->{retries} == 2 } @many), 5, 'a shim that stops ends them in order, and tells when to come back');
is($shim->wait, 0, '... and ends');

# Two shims on one database.
my $twin = start_shim();
my @both = map { Screen->new("/api/queues/$other/events", as => 'doctor', url => $_) } $ENV{CLINICQ_URL}, $twin->{url};
$_->events(1) for @both;
move($elsewhere, $_) for qw(start in_room done);
$_->events(4) for @both;
is(join(' ', map { $_->{id} } @{ $both[0]{seen} }[1 .. 3]), join(' ', map { $_->{id} } @{ $both[1]{seen} }[1 .. 3]), 'two shims deliver the same');
is(moves($both[1]), 'snapshot start in_room done', '... in its order');

# One that takes nothing is dropped; it comes back and has missed nothing.
$_->close for @both;
my $slow = Screen->new("/api/queues/$other/events", as => 'doctor', url => $twin->{url});
$slow->events(1);
my $at = $slow->{last};
db(<<~"SQL");
    INSERT INTO clinicq.visit_event (visit_id, move, to_status, actor_name)
    SELECT $elsewhere->{id}, 'open', 'WAITING', repeat('x', 100) FROM generate_series(1, 60000)
    SQL
ok(wait_for(40, sub { metric('event_streams_dropped_total', $twin->{metrics}) == 1 }), 'a slow reader is dropped');
$slow->until(sub { 0 }, 30);
ok($slow->{closed} && !$slow->{end}, '... without the end of the reply');
my @got = map { $_->{id} } @{ $slow->{seen} };
is(scalar(grep { $got[$_] != $got[$_ - 1] + 1 } 2 .. $#got), 0, 'until then it has missed nothing');
my $before = @got;
$slow->open;
$slow->events($before + 1);
is($slow->{seen}[$before]{event}, 'snapshot', 'so far behind it begins with a snapshot');
is($slow->{seen}[$before]{id}, db('SELECT max(position) FROM clinicq.visit_event'), '... of now');
my $near = Screen->new("/api/queues/$other/events", as => 'doctor', url => $twin->{url}, last => $slow->{last} - 900);
is(scalar($near->events(900)), 900, 'less far behind, all events come again');

# A standby has taken over, and has given positions before the shim is there: who has seen more than it knows begins anew.
my $led = Screen->new("/api/queues/$other/events", as => 'doctor');
my ($known) = $led->events(1);
db(<<~"SQL");
    UPDATE clinicq.feed_history SET timeline = timeline + 1;
    SELECT clinicq.open_visit('$patient->{registration_number}', $other);
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clinicq-shim events'
    SQL
ok($led->until(sub { $led->{end} }, 10), 'after a failover streams end');
for my $lost ($known->{id}, $known->{id} + 1) {
    my $back = Screen->new("/api/queues/$other/events", as => 'doctor', last => $lost);
    is(($back->events(1))[0]{event}, 'snapshot', "... and behind $lost there is a snapshot");
}

done_testing();
