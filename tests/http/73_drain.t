# Proves the end of the shim: after SIGTERM requests under way are answered with Connection: close, idle
# connections are shut, no new one is taken, the exit code is 0; who waits too long is cut at the limit.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $token = token('doctor');
my $auth = "Authorization: Token $token\r\n";

my $queue = new_queue();
my $visit = new_visit($queue);
my $shim = start_shim();
my $port = url_port($shim->{url});

# Under way: a write that waits for a lock. Idle: a keep-alive connection. Half: one still sending.
my $unlock = lock_visit($visit->{id}, 1.5);
my $under_way = connect_to($port);
syswrite $under_way, "PATCH /api/visits/$visit->{id}/start/ HTTP/1.1\r\nHost: a\r\n$auth\r\n";
my $idle = connect_to($port);
syswrite $idle, "GET /api/health/ HTTP/1.1\r\nHost: a\r\n\r\n";
like(scalar read_all($idle, 0.4), qr/^HTTP.1.1 200(?!.*Connection: close)/s, 'before: replies keep the connection');
my $half = connect_to($port);
my $body = json({ name => my $name = new_name('Drain') });
syswrite $half, "POST /api/patients/ HTTP/1.1\r\nHost: a\r\n${auth}Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n" . substr $body, 0, 5;
my $untouched = connect_to($port);
ok(wait_for(5, sub { call(GET => '/metrics', url => $shim->{metrics})->{content} =~ /^clinicq_pool_busy\{pool="write"\} 1$/m }), 'a write is under way');

$shim->signal('TERM');
my ($rest, $closed) = read_all($idle, 2);
ok($closed && $rest eq '', 'the idle connection is shut');
ok(wait_for(3, sub { !defined IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1) }), 'no new connection is taken');
syswrite $half, substr $body, 5;
my $finished = parse_reply(scalar read_all($half, 8));
is("$finished->{status} " . ($finished->{json}{name} // ''), "201 $name", 'a request that was still being sent is answered');
is($finished->{headers}{connection}, 'close', '... with Connection: close');
(my $bytes, $closed) = read_all($under_way, 8);
my $reply = parse_reply($bytes);
is("$reply->{status} " . ($reply->{json}{status} // ''), '200 START', 'the write under way is answered');
is($reply->{headers}{connection}, 'close', '... with Connection: close');
ok($closed, '... and the connection closed');
is($shim->wait, 0, 'exit code 0');
$unlock->();
is(call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json}{status}, 'START', 'what was answered is done');
my @lines = log_lines($shim->{log});
like($lines[-1], qr/"msg":"stopped"/, 'the log ends with it');
ok((grep { /"msg":"SIGTERM: / } @lines) == 1, '... and says why');

# Nothing to wait for: at once.
my $quick = start_shim();
my @idle = map { my $socket = connect_to(url_port($quick->{url})); syswrite $socket, "GET /api/health/ HTTP/1.1\r\nHost: a\r\n\r\n"; read_all($socket, 0.05); $socket } 1 .. 20;
my $began = time;
is($quick->stop, 0, 'with twenty idle connections: exit code 0');
cmp_ok(time - $began, '<', 5, '... at once');

# The limit.
my $cut = start_shim(CLINICQ_DRAIN_TIMEOUT_MS => 500);
my $late = new_visit($queue);
$unlock = lock_visit($late->{id}, 15);
my $waiting = connect_to(url_port($cut->{url}));
syswrite $waiting, "PATCH /api/visits/$late->{id}/start/ HTTP/1.1\r\nHost: a\r\n$auth\r\n";
ok(wait_for(5, sub { call(GET => '/metrics', url => $cut->{metrics})->{content} =~ /^clinicq_pool_busy\{pool="write"\} 1$/m }), 'a write waits for long');
$began = time;
is($cut->stop, 0, 'past the limit of the drain: exit code 0 as well');
cmp_ok(time - $began, '<', 6, '... soon after it');
my $last = parse_reply(scalar read_all($waiting, 2));
is($last->{status}, 503, "who still waited is told");
like($last->{content}, qr{may have been made or not}, "... that the outcome is unknown");
$unlock->();

# A second signal does not wait at all.
my $twice = start_shim();
$unlock = lock_visit($late->{id}, 15);
my $held = connect_to(url_port($twice->{url}));
syswrite $held, "PATCH /api/visits/$late->{id}/start/ HTTP/1.1\r\nHost: a\r\n$auth\r\n";
wait_for(5, sub { call(GET => '/metrics', url => $twice->{metrics})->{content} =~ /^clinicq_pool_busy\{pool="write"\} 1$/m });
$began = time;
$twice->signal('TERM');
sleep 0.2;
$twice->signal('TERM');
is($twice->wait, 0, 'a second SIGTERM: exit code 0');
cmp_ok(time - $began, '<', 6, '... without waiting');
$unlock->();

# Under load none is lost: every request that was taken gets its whole answer.
my $loaded = start_shim();
my @busy = map { connect_to(url_port($loaded->{url})) } 1 .. 40;
for my $socket (@busy) { syswrite $socket, "GET /api/patients/?page_size=50 HTTP/1.1\r\nHost: a\r\n$auth\r\n" }
$loaded->signal('TERM');
my %status;
for my $socket (@busy) {
    my $each = parse_reply(scalar read_all($socket, 5));
    $status{ $each->{status} }++;
    $status{torn}++ if $each->{status} == 200 && !defined $each->{json};
}
ok(!$status{torn} && ($status{200} // 0) + ($status{503} // 0) + ($status{0} // 0) == 40, 'forty requests and a SIGTERM: whole answers') or diag(join ' ', %status);
is($status{200}, 40, '... for all that had been sent') or diag(join ' ', %status);
is($loaded->wait, 0, 'exit code 0');

done_testing;
