# Proves what is seen without log-in and on a screen: a visit by the code on its slip, with token, state, room,
# place and wait and nothing of the patient; codes that are not guessed, end with the day and cannot be told
# from unknown ones; the board with names as the setting says; and the waits of a queue.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue(token_prefix => 'F');
my $name = new_name('Quill');
my $patient = new_patient(name => $name, phone => '0300777');
my $before = new_visit($queue);
my $visit = new_visit($queue, $patient->{registration_number});
my $room = call(POST => '/api/rooms/', as => 'admin', json => { name => new_name('Room') })->{json};
sub follow ($code) { return call(GET => "/api/follow/$code") }

# The code.
like($visit->{follow}, qr/^[0-9a-f]{32}$/, 'a slip has a code of 128 bits');
isnt($visit->{follow}, $before->{follow}, '... its own');
is(call(GET => "/api/visits/$visit->{id}/", as => 'assistant')->{json}{follow}, $visit->{follow}, '... which can be printed again');
is(call(GET => "/api/visits/$visit->{id}/", as => 'display')->{json}{follow}, undef, '... not by a display');
is(db("SELECT count(*) FROM clinicq.audit_event WHERE changes::text LIKE '%$visit->{follow}%'"), 0, '... and is not in the audit log');

# What it shows.
my $reply = follow($visit->{follow});
answers($reply, 200, 'the visit by its code, without a token');
is_deeply($reply->{json}, { token => 'F-002', status => 'WAITING', room => undef, place => 2, from => undef, to => undef, reason => 'nobody has called from this queue in the last hour', last_called => undef },
    '... token, state, place, and why there is no estimate; nothing else');
is($reply->{headers}{'cache-control'}, 'no-store', '... kept nowhere');
call(POST => "/api/queues/$queue/call_next/", as => 'doctor');
$reply = follow("$visit->{follow}/");
is("$reply->{json}{place} $reply->{json}{last_called}", '1 F-001', 'the place moves on, with the token called last; with a slash as well');
is(follow($before->{follow})->{json}{status}, 'START', 'the first is called');
call(POST => "/api/queues/$queue/call_next/", as => 'doctor', json => { room => $room->{id} });
$reply = follow($visit->{follow});
is_deeply([@{ $reply->{json} }{qw(status room place reason)}], ['START', $room->{name}, undef, undef], 'called, it says where to');
unlike($reply->{content}, qr/Quill|0300777|\Q$patient->{registration_number}\E|"id"|name|patient/, 'nothing of the patient');
my $moved = call(PATCH => "/api/visits/$visit->{id}/", as => 'doctor', json => { queue => new_queue(token_prefix => 'N') })->{json};
is(follow($visit->{follow})->{json}{token}, 'N-001', 'after a transfer the old slip leads to the new token');
is(follow($moved->{follow})->{json}{token}, 'N-001', '... as does the new one');

# What is no code.
for my $code ('0' x 32, substr($visit->{follow}, 0, 31), "$visit->{follow}0", uc $visit->{follow} =~ s/\d/a/gr, $visit->{id}, 'x' x 32, '%27%20OR%201%3D1', '%5C', 'f' x 3000) {
    my $answer = follow($code);
    refused($answer, 404, 'detail', 'unknown: 404 ' . substr $code, 0, 40);
    is($answer->{json}{detail}, 'no visit of today with this code', '... in the same words');
}
my $old = new_visit($queue);
db("UPDATE clinicq.visit SET service_day = service_day - 1 WHERE id = $old->{id}");
refused(follow($old->{follow}), 404, 'detail', 'a code of yesterday: as if there were none');
refused(call(POST => "/api/follow/$visit->{follow}/"), 405, 'detail', 'nothing is written there');

# The board.
new_visit($queue, $patient->{registration_number});
sub board (%how) { return call(GET => "/api/board/?queue=$queue", as => 'display', %how)->{json} }
my $board = board();
is_deeply([map { "$_->{token} $_->{status}" } @{ $board->{called} }], ['F-001 START'], 'the board: who is called');
is_deeply([map { "$_->{token} $_->{status}" } @{ $board->{next} }], ['F-004 WAITING'], '... and who is next');
is(join(' ', sort keys %{ $board->{next}[0] }), 'name queue queue_name room since status token', '... with these members');
my $initials = join ' ', map { substr($_, 0, 1) . '.' } split ' ', $name;
for my $case ([none => ''], [initials => $initials], [full => $name]) {
    set_setting('display_names', $case->[0]);
    is(board()->{next}[0]{name}, $case->[1], "display_names = $case->[0]");
    is(board(as => 'assistant')->{next}[0]{name}, $name, '... an assistant sees it in full');
}
set_setting('display_names', 'initials');
cmp_ok(scalar @{ call(GET => '/api/board/', as => 'display')->{json}{called} }, '>=', 1, 'the board of all queues');
refused(call(GET => '/api/board/?queue=x', as => 'display'), 400, ['queue'], 'a bad queue');
refused(call(GET => '/api/board/'), 401, 'detail', 'not without log-in');

# The waits of a queue.
$reply = call(GET => "/api/queues/$queue/wait/", as => 'display');
is_deeply({ %{ $reply->{json} }, results => 0 }, { queue => $queue, last_called => 'F-002', rooms => 1, samples => 0, reason => 'too few visits of this queue have been measured', results => 0 }, 'the waits of a queue, with the reason why there are none');
is($reply->{json}{results}[0]{token}, 'F-004', '... of each who waits');
db(<<~"SQL");
    WITH v AS (INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number, created_at, status)
        SELECT p.id, $queue, clinicq.service_day() - 7, n, now() - interval '7 days', 'DONE' FROM generate_series(1, 30) AS n, (SELECT min(id) AS id FROM clinicq.patient) AS p RETURNING id, token_number)
    INSERT INTO clinicq.visit_event (visit_id, at, move, from_status, to_status, actor_name)
        SELECT id, now() - interval '7 days' + m.after, m.move, 'WAITING', m.status, 'd' || token_number FROM v, (VALUES ('start', 'START', interval '0'), ('done', 'DONE', interval '5 minutes')) AS m (move, status, after) ORDER BY m.after
    SQL
$reply = call(GET => "/api/queues/$queue/wait/", as => 'assistant')->{json};
is_deeply([@{ $reply->{results}[0] }{qw(token place)}, $reply->{results}[0]{from} =~ /^[45]$/ ? 'soon' : '', $reply->{results}[0]{to}, @$reply{qw(reason samples)}], ['F-004', 1, 'soon', 5, undef, 30], 'with thirty measured services of five minutes, one of which has just begun, the next waits about five')
    or diag(JSON::PP->new->encode($reply));
refused(call(GET => '/api/queues/999999999/wait/', as => 'display'), 404, 'detail', 'no such queue');
refused(call(GET => "/api/queues/$queue/wait/"), 401, 'detail', 'not without log-in');

done_testing;
