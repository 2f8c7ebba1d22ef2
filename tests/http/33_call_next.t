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
