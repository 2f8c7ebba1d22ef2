# Proves that connections are counted: thousands of idle ones leave the service untouched, the oldest idle
# one makes room when all are taken, past that and past the share of an address the answer is 503 and never
# silence, and slow senders and readers are cut off at a fixed time.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;
use IO::Socket::INET;

my $hello = "GET /api/health/ HTTP/1.1\r\nHost: a\r\n";
sub open_from ($shim, $address = '127.0.0.1') {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => url_port($shim->{url}), LocalAddr => $address, Timeout => 5) // die "connect from $address: $!\n";
}
sub ask ($socket, $end = '') {
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, "$hello$end\r\n";
    return parse_reply(scalar read_all($socket, $end ? 5 : 0.3));
}
sub metric ($shim, $name) { return call(GET => '/metrics', url => $shim->{metrics})->{content} =~ /^clinicq_$name (\d+)/m ? $1 : -1 }
sub is_open ($socket) { return !(read_all($socket, 0.2))[1] }

# Thousands that say nothing, or have been served once, from many addresses; the settings are the defaults.
my $busy = start_shim(CLINICQ_ADDRESS_CONNECTIONS => undef);
my @children = map {
    my $part = $_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my @held = map { my $socket = open_from($busy, sprintf '127.%d.%d.1', $part + 1, $_ % 250); syswrite $socket, ('', "$hello\r\n", 'GET /a')[$_ % 3]; $socket } 1 .. 700;
        sleep 60;
        POSIX::_exit(0);
    }
    $pid;
} 1 .. 3;
ok(wait_for(20, sub { metric($busy, 'client_connections') >= 2100 }), 'two thousand connections are open');
my $slowest = 0;
my $served = 0;
for (1 .. 100) {
    my $began = time;
    $served++ if call(GET => '/api/auth/me/', as => 'doctor', url => $busy->{url})->{status} == 200 && ask(open_from($busy), "Connection: close\r\n")->{status} == 200;
    $slowest = time - $began if time - $began > $slowest;
}
is($served, 100, '... and others are served');
cmp_ok($slowest, '<', 1, '... at once');
is(metric($busy, 'client_connections_refused_total') . ' ' . metric($busy, 'client_connections_evicted_total'), '0 0', '... without anybody being put out');
kill KILL => $_ for @children;
waitpid $_, 0 for @children;
is($busy->stop, 0, 'it ends');

# All taken: the oldest idle one goes; where none is idle, 503.
my $small = start_shim(CLINICQ_MAX_CONNECTIONS => 20, CLINICQ_HEADER_TIMEOUT_MS => 3000, CLINICQ_IDLE_TIMEOUT_MS => 1500, CLINICQ_SEND_TIMEOUT_MS => 1000);
my @idle = map { my $socket = open_from($small, "127.0.1.$_"); ask($socket) if $_ <= 3; $socket } 1 .. 20;
my $new = open_from($small);
is(ask($new)->{status}, 200, 'one more than all is served');
ok(!is_open($idle[0]), '... the oldest idle connection was closed');
ok(is_open($idle[$_]), '... not connection ' . ($_ + 1)) for 3, 19;
cmp_ok(metric($small, 'client_connections_evicted_total'), '==', 1, '... one');
close $_ for $new, @idle;
ok(wait_for(5, sub { metric($small, 'client_connections') == 0 }), 'all are gone');
my @half = map { my $socket = open_from($small, "127.0.2.$_"); syswrite $socket, $hello; $socket } 1 .. 20;
ok(wait_for(5, sub { metric($small, 'client_connections') == 20 }), 'twenty in the middle of a request');
for my $n (1 .. 150) {
    my $reply = ask(open_from($small, '127.0.3.' . $n), "Connection: close\r\n");
    next if $reply->{status} == 503 && $reply->{headers}{'retry-after'} && $n > 1 && $n < 150;
    refused($reply, 503, 'detail', "connection $n past them gets 503");
    is($reply->{headers}{'retry-after'}, 1, '... and when to come again');
}
my @silent = map { open_from($small, "127.0.4.$_") } 1 .. 120;
is(ask(open_from($small, '127.0.5.1'), "Connection: close\r\n")->{status}, 503, '... also behind a hundred that say nothing');
syswrite $half[7], "\r\n";
is(parse_reply(scalar read_all($half[7], 1))->{status}, 200, 'those in the middle are served');
ok(wait_for(8, sub { ask(open_from($small), "Connection: close\r\n")->{status} == 200 }), 'and when they have had their time, others are');
close $_ for @half, @silent;

# Slow: headers, a rest between two requests, a reply that nobody takes.
my $socket = open_from($small);
syswrite $socket, $hello;
my $began = time;
read_all($socket, 8);
ok(time - $began > 2 && time - $began < 5, sprintf 'headers have their time: %.1f s', time - $began);
$socket = open_from($small);
ask($socket);
$began = time;
read_all($socket, 8);
ok(time - $began > 0.8 && time - $began < 4, sprintf 'a rest has its own: %.1f s', time - $began);
$socket = IO::Socket::INET->new(Proto => 'tcp') // die;
setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), pack 'i', 2048;
connect $socket, Socket::pack_sockaddr_in(url_port($small->{url}), Socket::inet_aton('127.0.0.1')) or die "connect: $!\n";
$socket->blocking(0);
local $SIG{PIPE} = 'IGNORE';
my $page = "GET /api/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" x 200;
my $wrote = syswrite $socket, $page;
my $taken = 0;
$began = time;
until (time - $began > 40) {
    my $got = sysread $socket, my $byte, 1;
    last if defined $got && $got == 0;
    last if !defined $got && !$!{EAGAIN};
    $taken += $got // 0;
    sleep 0.05;
    last if metric($small, 'client_connections') == 0;
}
ok(time - $began < 8, sprintf 'a reader of a byte at a time is cut off after %.1f s', time - $began);
is($small->stop, 0, 'it ends');

# The share of one address.
my $fair = start_shim(CLINICQ_ADDRESS_CONNECTIONS => 10);
my @mine = map { my $each = open_from($fair, '127.0.0.9'); ask($each) if $_ == 1; $each } 1 .. 10;
is(ask(open_from($fair, '127.0.0.9'), "Connection: close\r\n")->{status}, 503, 'one address has its share');
is(ask(open_from($fair, '127.0.0.10'), "Connection: close\r\n")->{status}, 200, '... another has one of its own');
is(ask($mine[5])->{status}, 200, '... those within it are served');
close $mine[5];
ok(wait_for(5, sub { ask(open_from($fair, '127.0.0.9'), "Connection: close\r\n")->{status} == 200 }), 'one that ends makes room');
is($fair->stop, 0, 'it ends');

# Sizes.
my $narrow = start_shim(CLINICQ_HEADER_LIMIT => 3000, CLINICQ_BODY_LIMIT => 2000);
is(call(GET => '/api/health/', url => $narrow->{url}, headers => { X => 'x' x $_->[0] })->{status}, $_->[1], "$_->[0] bytes of headers") for [1500, 200], [3500, 431];
is(call(POST => '/api/patients/', url => $narrow->{url}, as => 'assistant', body => ' ' x $_->[0])->{status}, $_->[1], "$_->[0] bytes of body") for [1900, 400], [2001, 413];
is($narrow->stop, 0, 'it ends');

done_testing;
