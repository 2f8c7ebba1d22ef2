# Proves rooms over HTTP: their administration, who signs in where, that calls go to the room of who calls,
# and that a room never holds two patients, also when many call to it at once.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue(token_prefix => 'R');
sub new_room ($name = new_name('Room')) { return call(POST => '/api/rooms/', as => 'admin', json => { name => $name }) }
sub in_list ($id, $role = 'doctor') { return (grep { $_->{id} == $id } @{ call(GET => '/api/rooms/', as => $role)->{json} })[0] }
sub next_of (%how) { return call(POST => "/api/queues/$queue/call_next/", as => 'doctor', %how) }

my $reply = new_room();
answers($reply, 201, 'a room');
my $room = $reply->{json};
is(join(' ', sort keys %$room), 'clinic created_at id name status token updated_at user', '... with these members');
is_deeply(in_list($room->{id}), $room, '... is in the list');
refused(new_room($room->{name}), 409, 'detail', 'its name is in use');
is(call(PATCH => "/api/rooms/$room->{id}/", as => 'admin', json => { name => "$room->{name} B" })->{json}{name}, "$room->{name} B", 'another name');
refused(call(POST => '/api/rooms/', as => $_, json => { name => 'x' }), 403, 'detail', "no new room by $_") for qw(doctor assistant display);

# Two doctors.
my ($ada, $ben) = map { new_user('doctor') } 1, 2;
my $sign = "/api/rooms/$room->{id}/sign_";
is(call(POST => "${sign}in/", token => $ada->{token})->{json}{user}, $ada->{username}, 'a doctor signs in');
is(call(POST => "${sign}in/", token => $ada->{token})->{status}, 200, '... twice');
refused(call(POST => "${sign}in/", token => $ben->{token}), 409, 'detail', '... another is refused');
refused(call(POST => "${sign}in/", as => 'assistant'), 403, 'detail', '... so is an assistant');
my @visits = map { new_visit($queue) } 1 .. 3;
$reply = next_of(token => $ada->{token});
is($reply->{json}{visit}{room}, "$room->{name} B", 'who is signed in calls there');
$reply = next_of(token => $ada->{token});
refused($reply, 409, 'detail', 'the room holds a patient');
like($reply->{json}{detail}, qr/R-001/, '... named by token');
is(join(' ', @{ in_list($room->{id}, 'display') }{qw(token status)}), 'R-001 START', 'a display sees token and state');
is(in_list($room->{id}, 'display')->{user}, undef, '... not who is signed in');
refused(call(DELETE => "/api/rooms/$room->{id}/", as => 'admin'), 409, 'detail', 'a room in use is not closed');
move($visits[0], $_, token => $ada->{token}) for qw(in_room done);
is(next_of(token => $ada->{token})->{json}{visit}{token}, 'R-002', 'the next once the first is done');
is(call(POST => "${sign}out/", token => $ada->{token})->{json}{user}, undef, 'signed out');
is(next_of(token => $ada->{token})->{json}{visit}{room}, undef, '... calls have no room');
move($visits[1], $_, token => $ada->{token}) for qw(in_room done);
answers(call(DELETE => "/api/rooms/$room->{id}/", as => 'admin'), 204, 'an empty room is closed');
is(in_list($room->{id}), undef, '... and gone from the list');
refused(next_of(json => { room => $room->{id} }), 400, ['room'], '... nobody is called there');

# A call by name goes to a room as well; its body is never read.
{
    my ($here, $there) = map { new_room()->{json} } 1, 2;
    my @called = map { new_visit($queue) } 1 .. 3;
    my $start = sub ($visit, $room, %how) { call(PATCH => "/api/visits/$visit->{id}/start/?room=$room", as => 'doctor', %how) };
    $reply = $start->($called[0], $here->{id}, body => '{"room": oops');
    is("$reply->{status} $reply->{json}{status} $reply->{json}{room}", "200 START $here->{name}", 'start to a room');
    is($start->($called[0], $here->{id})->{json}{room}, $here->{name}, '... sent again');
    refused($start->($called[1], $here->{id}), 409, 'detail', '... which holds a patient now');
    is(call(GET => "/api/visits/$called[1]{id}/", as => 'doctor')->{json}{status}, 'WAITING', '... and the other waits');
    is($start->($called[1], $there->{id})->{json}{room}, $there->{name}, 'another room');
    refused($start->($called[2], $_), 400, ['room'], "no open room: $_") for 999_999_999, 'x', '1.5', $room->{id};
    is($start->($called[2], '')->{json}{room}, undef, 'none is none');
}

# Ten calls to one room at once.
$room = new_room()->{json}{id};
new_visit($queue) for 1 .. 5;
my @token = map { new_user('doctor')->{token} } 1 .. 5;
my @pipes = map {
    my $token = $_;
    my $child = open(my $from, '-|') // die "fork: $!\n";
    if (!$child) {
        syswrite STDOUT, join(' ', map { next_of(token => $token, json => { room => $room })->{status} } 1, 2) . "\n";
        POSIX::_exit(0);
    }
    $from;
} @token;
is(join(' ', sort map { split ' ', readline $_ } @pipes), '200' . ' 409' x 9, 'ten calls to one room: one patient');
is(db("SELECT count(*) FROM clinicq.visit WHERE room_id = $room AND status = 'START'"), 1, '... is in it');

done_testing;
