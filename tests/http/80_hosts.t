# Proves that only the configured host names are served, in the Host header and in the request line,
# before anything else is looked at; and the headers that every reply carries.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $shim = start_shim(CLINICQ_ALLOWED_HOSTS => undef);
my $named = start_shim(CLINICQ_ALLOWED_HOSTS => ' Clinic.example, 10.0.0.7,,[fd00::1]');
my $long = 'a' x 300;
sub asked ($shim, $host, $line = 'GET /api/health/ HTTP/1.1') {
    return wire("$line\r\n" . (defined $host ? "Host: $host\r\n" : '') . "Connection: close\r\n\r\n", 5, url_port($shim->{url}));
}
answers(asked($shim, $_), 200, "by default: $_") for qw(localhost LocalHost 127.0.0.1 [::1]), map { "$_:8080" } qw(localhost 127.0.0.1 [::1]);
refused(asked($shim, $_), 400, 'detail', "by default not: $_")
    for qw(clinic.example localhost.evil.example evil.localhost localhost. 127.0.0.2 ::1 [::2] 127.0.0.1.nip.io), '0.0.0.0:80', 'localhost:80x', 'localhost:80:80',
    'localhost,evil', 'localhost evil', 'localhost@evil', 'evil@localhost', '', '*', 'a"<x>/y', $long;
answers(asked($named, $_), 200, "of a list: $_") for qw(clinic.example CLINIC.EXAMPLE:443 10.0.0.7 [fd00::1]:8443);
refused(asked($named, $_), 400, 'detail', "of a list not: $_") for qw(localhost 127.0.0.1 x.clinic.example [fd00::1 fd00::1);
answers(asked($named, 'clinic.example', "GET http://clinic.example$_ HTTP/1.1"), 200, "absolute form: $_") for '/api/health/', '/api/health';
refused(asked($named, 'clinic.example', 'GET http://evil.example/api/health/ HTTP/1.1'), 400, 'detail', '... of another host');
refused(asked($named, 'evil.example', 'GET http://clinic.example/api/health/ HTTP/1.1'), 400, 'detail', '... with another Host');
refused(asked($named, 'clinic.example', 'GET http://x@clinic.example/api/health/ HTTP/1.1'), 400, 'detail', '... with a user');
is(asked($named, undef)->{status}, 400, 'HTTP/1.1 without a Host');
is(asked($named, undef, 'GET /api/health/ HTTP/1.0')->{status}, 200, 'HTTP/1.0 has none');

# Before anything else: routing, the method, the size of a body, a preflight.
my $problem = wire("GET /nowhere/ HTTP/1.1\r\nHost: evil\r\nAccept: application/problem+json\r\nConnection: close\r\n\r\n", 5, url_port($named->{url}));
is("$problem->{status} " . ($problem->{json}{type} // ''), '400 /problems/unknown-host', 'an unknown path: the host goes first');
for my $line ("PUT /api/health/ HTTP/1.1\r\n", "POST /api/patients/ HTTP/1.1\r\nContent-Length: 999999999\r\n", "OPTIONS /api/queues/ HTTP/1.1\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\n") {
    my $reply = wire("${line}Host: evil.example\r\n\r\n", 5, url_port($named->{url}));
    is("$reply->{status} $reply->{closed}", '400 1', ($line =~ /^(\w+)/)[0] . ': the host goes first, and the connection ends');
    unlike($reply->{bytes}, qr/access-control-allow-origin/i, '... without permission');
}

# Every reply, whatever it says.
my %outcomes = (200 => [GET => '/api/health/'], 401 => [GET => '/api/queues/'], 404 => [GET => '/nowhere/'], 405 => [PUT => '/api/queues/', as => 'admin'],
    204 => [OPTIONS => '/api/queues/'], 413 => [POST => '/api/patients/', as => 'assistant', body => 'x' x 70_000], 400 => [GET => '/api/queues/?%FF', as => 'doctor']);
my %want = ('content-security-policy' => "default-src 'none'; frame-ancestors 'none'", 'x-content-type-options' => 'nosniff', 'x-frame-options' => 'DENY',
    'referrer-policy' => 'same-origin', 'cross-origin-opener-policy' => 'same-origin', 'cross-origin-resource-policy' => 'same-origin', 'cache-control' => 'no-store',
    'permissions-policy' => 'camera=(), geolocation=(), microphone=(), payment=(), usb=()');
for my $status (sort keys %outcomes) {
    my ($method, $path, %how) = @{ $outcomes{$status} };
    my $reply = call($method => $path, %how);
    answers($reply, $status, "$method $path");
    is($reply->{headers}{$_}, $want{$_}, "... $_") for sort keys %want;
    ok(!exists $reply->{headers}{'strict-transport-security'}, '... no HSTS without TLS');
}
is($_->stop, 0, 'it ends') for $shim, $named;

done_testing;
