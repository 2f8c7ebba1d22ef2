# Proves that clients that send slowly, stop half-way, go away or hold connections open are cut off at a
# fixed time however many bytes they drip, and that others are served meanwhile.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $limit = 0.6;
my $shim = start_shim(CLINICQ_RECEIVE_TIMEOUT_MS => $limit * 1000, CLINICQ_MAX_CONNECTIONS => 400);
my $port = url_port($shim->{url});
my $token = token('assistant');
sub alive ($what) {
    my $began = time;
    my $reply = call(GET => '/api/auth/me/', as => 'doctor', url => $shim->{url});
    ok($reply->{status} == 200 && time - $began < 3, "$what: others are served") or diag("$reply->{status} $reply->{content}");
    return;
}
sub gauge ($name) {
    my ($value) = call(GET => '/metrics', url => $shim->{metrics})->{content} =~ /^clinicq_$name (\d+)/m;
    return $value // -1;
}

# Stops half-way: cut off when the time is up, not before.
my $head = "POST /api/patients/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token $token\r\nContent-Type: application/json\r\nContent-Length: 20\r\n";
my %stops = ('nothing sent' => '', 'half a request line' => 'GET /api/he', 'half the headers' => "GET /api/health/ HTTP/1.1\r\nHos", 'no empty line' => $head, 'no body' => "$head\r\n", 'half the body' => "$head\r\n{\"na",
    'half a chunk' => "POST /api/patients/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token $token\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"name");
my $before = snapshot();
for my $what (sort keys %stops) {
    my $socket = connect_to($port);
    syswrite $socket, $stops{$what};
    my $began = time;
    my ($bytes, $closed) = read_all($socket, 8);
    my $took = time - $began;
    ok($closed && $took > $limit - 0.2 && $took < $limit + 3, sprintf '%s: closed after %.1f s', $what, $took);
    unlike($bytes, qr/^HTTP.1.1 (?:2|5)/, '... without success or failure');
}

# Drips: each byte is in time, the request is not.
for my $case (['headers', "GET /api/health/ HTTP/1.1\r\nHost: a\r\nX: "], ['a body', "$head\r\n"]) {
    my ($what, $begin) = @$case;
    my $socket = connect_to($port);
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $begin;
    my ($began, $closed) = (time, 0);
    while (!$closed && time - $began < 8) {
        syswrite $socket, 'x';
        (undef, $closed) = read_all($socket, 0.1);
    }
    cmp_ok(time - $began, '<', $limit + 3, "$what byte by byte: cut off") if ok($closed, "$what without an end");
}
unchanged($before, 'half requests');

# A keep-alive connection that rests between two requests is no slow one.
my $resting = connect_to($port);
syswrite $resting, "GET /api/health/ HTTP/1.1\r\nHost: a\r\n\r\n";
like(scalar read_all($resting, 0.3), qr/^HTTP.1.1 200/, 'a first request');
sleep $limit + 0.4;
syswrite $resting, "GET /api/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
is(parse_reply(scalar read_all($resting))->{status}, 200, 'a rest longer than the limit, and a second');

# Many that hold a connection open, of which nothing comes.
my @held = map { my $socket = connect_to($port); syswrite $socket, $_ % 2 ? 'GET /api/health/ HTT' : ''; $socket } 1 .. 300;
alive('beside 300 half-open connections');
cmp_ok(gauge('client_connections'), '>=', 300, 'they are counted');
ok(wait_for(5, sub { gauge('client_connections') < 20 }), '... and cut off');
close $_ for @held;

# Clients that go away in the middle of it.
my $gone = join '', 'gone ', map { ('a' .. 'z')[rand 26] } 1 .. 4;
for my $bytes ('GET /api/he', "GET /api/patients/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token $token\r\n\r\n", "$head\r\n{", "$head\r\n{\"name\":\"$gone\"}") {
    for (1 .. 25) {
        my $socket = connect_to($port);
        syswrite $socket, $bytes;
        setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'll', 1, 0 if $_ % 2; # reset instead of an orderly end
        close $socket;
    }
}
alive('after 100 that went away');
cmp_ok(db("SELECT count(*) FROM clinicq.patient WHERE name = '$gone'"), '<=', 1, 'a patient of clients that did not wait is there once at the most');
ok(wait_for(5, sub { gauge('client_connections') < 20 }), 'none of their connections is left');

# More than the limit of connections: the service stays, and serves again when they go.
@held = grep { defined } map { eval { connect_to($port) } } 1 .. 450;
ok(wait_for(8, sub { my $reply = call(GET => '/api/health/', url => $shim->{url}); $reply->{status} == 200 }), 'after a flood of connections it serves again');
close $_ for @held;

# A client that does not read its replies holds up nobody.
my $deaf = connect_to($port);
$deaf->blocking(0);
my $page = "GET /api/patients/?page_size=200 HTTP/1.1\r\nHost: a\r\nAuthorization: Token $token\r\n\r\n";
syswrite $deaf, $page for 1 .. 200;
alive('beside a client that does not read');
close $deaf;
is($shim->stop, 0, 'it ends as it should');

done_testing;
