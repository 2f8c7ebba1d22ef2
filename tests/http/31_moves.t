# Proves section 3 with the decisions of section 0: every move from every state, who may make it, a
# wrong one names the state that is, and one already made by this user answers 200 with the visit as it
# is now, so that a telephone may send it again.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue();
my %rule = (
    start => [[qw(WAITING)], 'START'], in_room => [[qw(START)], 'IN_ROOM'], send_back_to_waiting => [[qw(START IN_ROOM)], 'WAITING'],
    done => [[qw(IN_ROOM)], 'DONE'], no_show => [[qw(START)], 'NO_SHOW'], recall => [[qw(NO_SHOW)], 'WAITING'], cancel => [[qw(WAITING)], 'CANCELLED'],
);
my %reach = (
    WAITING => [], START => ['start'], IN_ROOM => [qw(start in_room)], DONE => [qw(start in_room done)], NO_SHOW => [qw(start no_show)],
    CANCELLED => ['cancel'], TRANSFERRED => ['transfer'],
);
my $other_queue = new_queue();

# Brought there by an administrator, so that the doctor has made none of the moves.
sub visit_in ($state) {
    my $visit = new_visit($queue);
    for my $step (@{ $reach{$state} }) {
        my $reply = $step eq 'transfer' ? call(PATCH => "/api/visits/$visit->{id}/", as => 'admin', json => { queue => $other_queue }) : move($visit, $step, as => 'admin');
        die "$step: $reply->{content}" if $reply->{status} != 200;
    }
    return $visit;
}
sub now ($visit) { return call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json} }

for my $state (sort keys %reach) {
    for my $step (sort keys %rule) {
        my $visit = visit_in($state);
        my ($from, $to) = @{ $rule{$step} };
        if (grep { $_ eq $state } @$from) {
            my $events = db("SELECT count(*) FROM clinicq.visit_event WHERE visit_id = $visit->{id}");
            my $reply = move($visit, $step);
            answers($reply, 200, "$state, $step: 200");
            is_deeply({ %{ $reply->{json} }, updated_at => 0 }, { %$visit, status => $to, updated_at => 0 }, "... the visit is $to, with the same token, queue and day");
            cmp_ok($reply->{json}{updated_at}, 'gt', $visit->{updated_at}, '... later than it was');
            is(db("SELECT string_agg(from_status || '>' || to_status || ' ' || actor_name, ',') FROM (SELECT * FROM clinicq.visit_event WHERE visit_id = $visit->{id} ORDER BY id OFFSET $events) e"),
                "$state>$to doctor", '... with one event that says who');
            my $again = move($visit, $step);
            answers($again, 200, '... once more: 200') && is_deeply($again->{json}, $reply->{json}, '... with the visit as it is');
        }
        else {
            my $before = snapshot();
            my $reply = move($visit, $step);
            refused($reply, 409, 'detail', "$state, $step: 409");
            my @named = grep { $reply->{json}{detail} !~ /\b$_\b/ } $state, @$from;
            ok(!@named, "... names $state and @$from") || diag($reply->{json}{detail});
            is(snapshot(), $before, '... nothing was written');
        }
    }
}

# A replay also after the visit has moved on, by this user or another.
my $visit = new_visit($queue);
move($visit, 'start');
move($visit, 'in_room');
for my $step (qw(start in_room)) {
    my $reply = move($visit, $step);
    is("$reply->{status} $reply->{json}{status}", '200 IN_ROOM', "$step again, in the room: 200 with IN_ROOM");
}
move($visit, 'done', as => 'admin');
is(move($visit, $_)->{json}{status}, 'DONE', "$_ again, when it is done") for qw(start in_room);
refused(move($visit, 'done'), 409, 'detail', 'done was not made by this user: 409');
my $colleague = new_user('doctor');
refused(move($visit, 'start', token => $colleague->{token}), 409, 'detail', 'what one doctor did, another has not');
is(move($visit, 'send_back_to_waiting')->{status}, 409, 'what nobody did is no replay');
is(db("SELECT count(*) FROM clinicq.visit_event WHERE visit_id = $visit->{id}"), 4, 'replays leave no events');

# Back to waiting keeps the token, and the same moves can then be made again.
$visit = new_visit($queue);
move($visit, $_) for qw(start in_room);
my $back = move($visit, 'send_back_to_waiting')->{json};
is("$back->{status} $back->{token_number}", "WAITING $visit->{token_number}", 'sent back, it keeps its token');
is(move($visit, 'start')->{json}{status}, 'START', '... and is called again');

# Two doctors at once: one has the patient, the other a conflict.
$visit = new_visit($queue);
is(join(' ', sort map { $_->{status} } move($visit, 'start'), move($visit, 'start', token => $colleague->{token})), '200 409', 'of two doctors one gets the patient');

# Who may.
my %may = (map({ $_ => 'admin doctor' } qw(start in_room send_back_to_waiting done)), map { $_ => 'admin assistant doctor' } qw(cancel no_show recall));
for my $step (sort keys %may) {
    for my $role (qw(admin assistant display doctor)) {
        my $from = $rule{$step}[0][0];
        my $reply = move(visit_in($from), $step, as => $role);
        my $status = index($may{$step}, $role) >= 0 ? 200 : 403;
        is($reply->{status}, $status, "$step by $role: $status");
        is(join(' ', sort($reply->{json}{detail} =~ /\b(admin|doctor|assistant|display)\b/g)), $may{$step}, '... naming who may') if $status == 403;
    }
}

# Recall is refused while the patient has another open visit there.
my $patient = new_patient()->{registration_number};
my $missed = new_visit($queue, $patient);
move($missed, $_) for qw(start no_show);
my $second = new_visit($queue, $patient);
refused(move($missed, 'recall', as => 'assistant'), 409, 'detail', 'no recall beside another open visit');
move($second, 'cancel', as => 'assistant');
is(move($missed, 'recall', as => 'assistant')->{json}{status}, 'WAITING', 'after that is cancelled it is recalled');
is(now($missed)->{token_number}, $missed->{token_number}, '... with its token');

# Not only of today.
my $old = new_visit($queue);
db("UPDATE clinicq.visit SET service_day = service_day - 3 WHERE id = $old->{id}");
is(move($old, 'start')->{json}{status}, 'START', 'a visit of an earlier day is moved too');

done_testing;
