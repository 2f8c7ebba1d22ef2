# Proves the live queue over HTTP: calling the next patient, of one queue and by many doctors at once, holds,
# announcements, undo, priority classes and token prefixes.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue(token_prefix => 'A');
my $next = "/api/queues/$queue/call_next/";
sub next_of (%how) { return call(POST => $next, as => 'doctor', %how) }

my $reply = next_of();
ok($reply->{status} == 200 && !defined $reply->{json}{visit}, 'an empty queue: 200 with visit null');
is($reply->{json}{reason}, 'nobody is waiting', '... and the reason');

my ($first, $second) = map { new_visit($queue) } 1, 2;
is("$first->{token_number} $first->{token}", '1 A-001', 'a token with the prefix of its queue beside the number');
is(new_visit(new_queue())->{token}, '1', '... and without one');
my $urgent = call(POST => '/api/visits/', as => 'assistant', json => { patient => new_patient()->{registration_number}, queue => $queue, priority => 'emergency' })->{json};
is($urgent->{priority}, 'emergency', 'an emergency');
is_deeply([map { $_->{name} } @{ call(GET => '/api/priorities/', as => 'display')->{json} }], [qw(emergency elderly pregnant normal)], 'the classes there are');

$reply = next_of();
answers($reply, 200, 'the next');
is($reply->{json}{visit}{id}, $urgent->{id}, '... is the emergency');
is_deeply({ %{ $reply->{json}{visit} }, updated_at => 0 }, { %$urgent, status => 'START', updated_at => 0 }, '... as a visit in full');
is(next_of()->{json}{visit}{id}, $first->{id}, 'then by token');
is(move($second, 'hold', as => 'assistant')->{json}{status}, 'HELD', 'on hold');
is(next_of()->{json}{visit}, undef, '... it is not called');
is(move($second, 'resume', as => 'assistant')->{json}{status}, 'WAITING', 'resumed');
is(next_of(json => {})->{json}{visit}{id}, $second->{id}, '... it is');
is(move($second, 'announce', as => 'assistant')->{json}{status}, 'START', 'announced');
is(db("SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = $second->{id}"), 'open hold resume start announce', 'each leaves an event');

# The priority of a visit, and the classes.
{
    my $order = new_queue();
    my ($one, $two, $three) = map { new_visit($order) } 1 .. 3;
    my $set = sub ($visit, $priority, $role = 'assistant') { call(PATCH => "/api/visits/$visit->{id}/", as => $role, json => { priority => $priority }) };
    $reply = $set->($three, 'elderly');
    answers($reply, 200, 'another priority');
    is_deeply({ %{ $reply->{json} }, updated_at => 0 }, { %$three, priority => 'elderly', updated_at => 0 }, '... is shown, and nothing else has changed');
    answers($set->($three, 'elderly'), 200, '... once more');
    is(db("SELECT string_agg(concat_ws(' ', move, from_status, to_status, actor_name), ',' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = $three->{id} AND move <> 'open'"), 'priority WAITING WAITING assistant', '... is one event');
    is(db("SELECT changes -> 'priority' FROM clinicq.audit_event WHERE entity = 'visit' AND entity_id = '$three->{id}' AND action = 'UPDATE'"), '{"new": 20, "old": 0}', '... and one change in the audit log');
    is(call(GET => "/api/board/?queue=$order", as => 'display')->{json}{next}[0]{token}, '3', '... goes first on the board');
    refused($set->($three, 'royal'), 400, ['priority'], 'no such class');
    refused($set->($three, 'normal', 'doctor'), 403, 'detail', 'who may not open visits does not say how urgent they are');
    set_setting(doctors_open_visits => 'on');
    answers($set->($two, 'pregnant', 'doctor'), 200, '... but does where the clinic lets doctors open them');
    set_setting(doctors_open_visits => 'off');
    my $tag = call(GET => "/api/visits/$one->{id}/", as => 'assistant')->{headers}{etag};
    answers($set->($one, 'emergency'), 200, 'an emergency');
    is(call(PATCH => "/api/visits/$one->{id}/", as => 'assistant', json => { priority => 'normal' }, headers => { 'If-Match' => $tag })->{status}, 412, '... is not taken back by who has not seen it');
    $set->($one, 'normal');
    refused(call(PATCH => "/api/visits/$one->{id}/undo/", as => 'assistant'), 409, 'detail', 'a priority is changed again, not undone');
    is(join(' ', map { call(POST => "/api/queues/$order/call_next/", as => 'doctor')->{json}{visit}{id} } 1 .. 3), "$three->{id} $two->{id} $one->{id}", 'they are called in that order');
    move($one, $_) for qw(in_room done);
    refused($set->($one, 'elderly'), 409, 'detail', 'a visit that is over keeps its priority');
    my $gone = new_visit($order);
    my $there = call(PATCH => "/api/visits/$gone->{id}/", as => 'assistant', json => { queue => new_queue(), priority => 'elderly' })->{json};
    is("$there->{priority} $there->{status}", 'elderly WAITING', 'with a queue it goes to where the visit goes on');
    is(db("SELECT priority FROM clinicq.visit WHERE id = $gone->{id}"), 0, '... and the one that ends keeps its own');

    my $class = sub ($rank, %fields) { call(PATCH => "/api/priorities/$rank/", as => 'admin', json => \%fields) };
    call(POST => '/api/priorities/', as => 'admin', json => { name => 'child', rank => 15 });
    my $child = $set->(new_visit($order), 'child')->{json};
    is_deeply($class->(15, name => 'minor', rank => 25, reached_by_ageing => JSON::PP::false)->{json}, { clinic => 1, rank => 25, name => 'minor', reached_by_ageing => JSON::PP::false }, 'a class gets another name, rank and ageing');
    is(call(GET => "/api/visits/$child->{id}/", as => 'assistant')->{json}{priority}, 'minor', '... an open visit stays in it');
    is(db("SELECT count(*) FROM clinicq.visit_event WHERE visit_id = $child->{id} AND move = 'priority'"), 2, '... with an event');
    is($class->(25)->{json}{name}, 'minor', 'nothing given, nothing changed');
    refused($class->(25, name => 'elderly'), 409, 'detail', 'a name in use');
    refused($class->(25, rank => 30), 409, 'detail', 'a rank in use');
    refused($class->(0, rank => 5), 409, 'detail', 'the ordinary patient keeps the rank');
    refused($class->(26, name => 'x'), 404, 'detail', 'no such class');
    refused($class->(25, name => 'No', rank => -1), 400, ['name', 'rank'], 'bad fields');
    refused(call(PATCH => '/api/priorities/25/', as => 'doctor', json => {}), 403, 'detail', 'for administrators');
    move($child, 'cancel', as => 'assistant');
    answers(call(DELETE => '/api/priorities/25/', as => 'admin'), 204, 'and removed');
}

# Undo.
my $third = new_visit($queue);
next_of();
is(move($third, 'undo')->{json}{status}, 'WAITING', 'a call taken back');
refused(move($third, 'undo', as => 'admin'), 409, 'detail', 'by nobody else');
my $gone = call(PATCH => "/api/visits/$third->{id}/", as => 'assistant', json => { queue => new_queue() })->{json};
is(move($gone, 'undo', as => 'assistant')->{json}{id}, $third->{id}, 'a transfer is taken back by the new visit, too');
refused(move($third, 'undo', as => 'display'), 403, 'detail', 'a display takes nothing back');

# Who may, and what is not there.
refused(next_of(as => $_), 403, 'detail', "$_ does not call") for qw(assistant display);
refused(call(POST => '/api/queues/999999999/call_next/', as => 'doctor'), 404, 'detail', 'no such queue');
refused(call(POST => '/api/call_next/', as => 'doctor', json => { queues => [999_999_999] }), 400, ['queues'], 'no such queue among several');

# Of several queues by longest wait.
my $other = new_queue();
my $later = new_visit($other);
db("UPDATE clinicq.visit SET created_at = created_at - interval '1 minute' WHERE id = $later->{id}");
is(call(POST => '/api/call_next/', as => 'doctor', json => { queues => [$queue, $other] })->{json}{visit}{id}, $later->{id}, 'of two queues, who has waited longer');

# Sent again: with a key the same patient, with a room nobody else; without either it is another call.
{
    my $calling = new_queue();
    my @first = map { new_visit($calling)->{id} } 1 .. 4;
    my $path = "/api/queues/$calling/call_next/";
    my @keyed = map { call(POST => $path, as => 'doctor', headers => { 'Idempotency-Key' => "call-$calling" })->{json}{visit}{id} } 1 .. 3;
    is("@keyed", join(' ', ($first[0]) x 3), 'with an Idempotency-Key a call that is sent again answers the same patient');
    my $room = call(POST => '/api/rooms/', as => 'admin', json => { name => new_name('Room') })->{json}{id};
    my @roomed = map { call(POST => $path, as => 'doctor', json => { room => $room }) } 1 .. 2;
    is("$roomed[0]{json}{visit}{id} $roomed[1]{status}", "$first[1] 409", 'with a room the second is refused');
    is($roomed[1]{json}{detail} =~ s/.*: //r, 'token 2', '... and names who is inside');
    is(join(' ', map { call(POST => $path, as => 'doctor')->{json}{visit}{id} } 1 .. 2), "$first[2] $first[3]", 'without either it cannot be told from another call');
    is(db("SELECT count(*) FROM clinicq.visit WHERE queue_id = $calling AND status = 'START'"), 4, '... and nobody was called twice');
}

# Four doctors call forty patients at once: each patient once, in the order of tokens for each doctor.
my $busy = new_queue();
my @waiting = map { new_visit($busy) } 1 .. 40;
my @doctors = map { new_user('doctor') } 1 .. 4;
my @pipes = map {
    my $doctor = $_;
    my $child = open(my $from, '-|') // die "fork: $!\n";
    if (!$child) {
        my @mine;
        while (my $visit = call(POST => "/api/queues/$busy/call_next/", token => $doctor->{token})->{json}{visit}) { push @mine, $visit->{token_number} }
        syswrite STDOUT, "@mine\n";
        POSIX::_exit(0);
    }
    $from;
} @doctors;
my @called = map { [split ' ', readline $_] } @pipes;
is_deeply([sort { $a <=> $b } map { @$_ } @called], [1 .. 40], 'forty patients, each called once');
ok(!(grep { my $list = $_; grep { $list->[$_] < $list->[$_ - 1] } 1 .. $#$list } @called), '... each doctor in the order of tokens');

done_testing;
