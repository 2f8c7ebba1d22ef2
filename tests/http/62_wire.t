# Proves what is done with requests that no honest client sends: two readings of one message are refused
# and the connection closed, bodies are limited by length and in chunks, headers by size, and what is
# merely unusual works: chunks, Expect, pipelining, HTTP/1.0, headers in any case.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $token = token('assistant');
my $auth = "Authorization: Token $token\r\n";
my $json = "Content-Type: application/json\r\n";
my $before = snapshot();

sub closed ($bytes, $what, @statuses) {
    my $reply = wire($bytes);
    my %good = map { $_ => 1 } @statuses;
    ok($good{ $reply->{status} }, "$what: $reply->{status}") or diag($reply->{bytes});
    ok($reply->{closed}, '... and closed');
    unlike($reply->{bytes}, qr/credentials|"username"/, '... what hides behind it is not answered');
    ok($reply->{status} < 500, '... no failure of ours');
    return $reply;
}
my $body = '{"name":"smuggled"}';
my $length = length $body;
my $start = "POST /api/patients/ HTTP/1.1\r\nHost: a\r\n$auth$json";
my $hidden = "GET /api/users/ HTTP/1.1\r\nHost: a\r\n\r\n";

# Two readings.
closed("${start}Content-Length: $length\r\nContent-Length: 5\r\n\r\n$body$hidden", 'two lengths that differ', 400);
closed("${start}Content-Length: $length\r\nContent-Length: $length\r\nContent-Length: 0\r\n\r\n$body$hidden", 'three of which one differs', 400);
closed("${start}Content-Length: $length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$hidden", 'a length and chunks', 400);
closed("${start}Transfer-Encoding: chunked\r\nContent-Length: $length\r\n\r\n0\r\n\r\n$hidden", '... the other way round', 400);
closed("${start}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n$hidden", 'two codings', 400);
closed("${start}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$hidden", 'chunks twice', 400);
closed("${start}Transfer-Encoding: $_\r\n\r\n0\r\n\r\n$hidden", "the coding '$_'", 400) for 'gzip', 'gzip, chunked', 'chunked, gzip', 'xchunked', 'chunked;x=1', '"chunked"', "chunked, chunked", 'identity';
closed("${start}Content-Length: $_\r\n\r\n$body$hidden", "the length '$_'", 400, 413) for '-1', '+19', '0x13', '19, 19', '19 19', 'x', '', '1e1', '99999999999999999999999', '19;', '19.0';
closed("POST /api/patients/ HTTP/1.0\r\n$auth${json}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 'chunks in HTTP/1.0', 400);
closed("${start}Content-Length : $length\r\n\r\n$body$hidden", 'a blank before the colon', 400, 411, 415);
closed("${start}Content-Length: $length\r\n X: folded\r\n\r\n$body", 'a folded line', 400, 415, 413);
closed("GET /api/queues/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n$auth\r\n", 'two hosts', 400);
closed("GET /api/queues/ HTTP/1.1\r\nHost: a\r\n${auth}X: a\x01b\r\n\r\n", 'a control character in a header', 400);
closed("GET /api/queues/ HTTP/1.1\r\nHost: a\r\n${auth}X\x00Y: b\r\nConnection: close\r\n\r\n", 'NUL in a header', 400);
closed("GET /api/queues/ HTTP/1.1\r\nHost: a\r\n${auth}X Y: b\r\nConnection: close\r\n\r\n", 'a blank in a name', 400);

# What the library hides from the shim where it is old, and ends by itself at its strictest.
my ($library) = `pkg-config --modversion libmicrohttpd` =~ /^(\d+)\./;
if ($library) {
    closed("$_->[1]Connection: close\r\n\r\n$body$hidden", "the strict library: $_->[0]", 0, 400) for
        ['a bare LF after the request line', "POST /api/patients/ HTTP/1.1\nHost: a\r\n$auth${json}Content-Length: $length\r\n"],
        ['a bare LF after a header', "${start}X: a\nContent-Length: $length\r\n"],
        ['a bare CR in a header', "${start}X: a\rContent-Length: 0\r\nContent-Length: $length\r\n"],
        ['a folded header', "${start}X: a\r\n Content-Length: 0\r\nContent-Length: $length\r\n"],
        ['a folded length', "${start}Content-Length:\r\n $length\r\n"],
        ['a line that begins with a blank', "POST /api/patients/ HTTP/1.1\r\n Host: a\r\nHost: a\r\n$auth${json}Content-Length: $length\r\n"],
        ['NUL in a value', "${start}X: a\0b\r\nContent-Length: $length\r\n"], ['NUL in the address', "POST /api/patients/\0 HTTP/1.1\r\nHost: a\r\n$auth${json}Content-Length: $length\r\n"],
        ['a header without a colon', "${start}X\r\nContent-Length: $length\r\n"], ['a header without a name', "${start}: x\r\nContent-Length: $length\r\n"],
        ['tabs in the request line', "POST\t/api/patients/\tHTTP/1.1\r\nHost: a\r\n$auth${json}Content-Length: $length\r\n"],
        ['an empty line before the request', "\r\n${start}Content-Length: $length\r\n"];
    closed("${start}Transfer-Encoding: chunked\r\n\r\n$_->[1]0\r\n\r\n$hidden", "the strict library: $_->[0]", 0, 400) for
        ['a bare LF after a size', sprintf("%x\n%s\r\n", $length, $body)], ['a bare LF after a chunk', sprintf("%x\r\n%s\n", $length, $body)],
        ['a blank after a size', sprintf("%x \r\n%s\r\n", $length, $body)], ['an extension after a blank', sprintf("%x ;a=b\r\n%s\r\n", $length, $body)],
        ['an extension after a blank, whose LF the library counts', sprintf("%x ;a=b\r\n%s\r\n", $length + 1, $body)];
}

# Not HTTP at all: what the library says is its own, but it ends.
for my $bytes ("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", "SSH-2.0-OpenSSH\r\n\r\n", "\r\n\r\n\r\n\r\nx\r\n\r\n", "GET\r\n\r\n", "GET /api/health/\r\n\r\n", "GET /api/health/ HTTP/2.0\r\n\r\n", "GET /api/health/ HTTP/9\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "get /api/health/ http/1.1\r\n\r\n", "\0" x 64 . "\r\n\r\n", "GET  /api/health/ HTTP/1.1\r\n\r\n") {
    my $reply = wire($bytes . "Connection: close\r\n\r\n", 1);
    ok($reply->{status} < 500 || $reply->{status} == 505, 'bytes ' . substr($bytes, 0, 16) =~ s/([^ -~])/sprintf '<%02X>', ord $1/ger . ": $reply->{status}");
}

# Bodies have a limit, by length before they are read, in chunks while they are.
my $reply = wire("${start}Content-Length: 65537\r\n\r\n");
is($reply->{status}, 413, 'a length over the limit: 413 before a byte of it');
ok($reply->{closed}, '... and closed');
is(ref $reply->{json}, 'HASH', '... with a detail');
answers(wire("${start}Content-Length: 4000000000\r\n\r\n"), 413, 'four gigabytes: 413');
answers(wire("${start}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"), 413, 'Expect does not change that');
$reply = wire("${start}Transfer-Encoding: chunked\r\n\r\n" . ("4000\r\n" . 'x' x 0x4000 . "\r\n") x 5 . "0\r\n\r\n");
is($reply->{status}, 413, 'chunks over the limit: 413');
ok($reply->{closed}, '... and closed');
$reply = wire("${start}Transfer-Encoding: chunked\r\n\r\n" . ("10000\r\n" . 'x' x 0x10000 . "\r\n") x 40);
ok($reply->{closed}, 'chunks without an end: closed');
closed("${start}Transfer-Encoding: chunked\r\n\r\n$_\r\n$body\r\n0\r\n\r\n", "the size of chunk '$_'", 0, 400, 413) for 'zz', '-1', '0x13', 'ffffffffffffffffff', '', '13,13';
closed("PATCH /api/visits/1/start/ HTTP/1.1\r\nHost: a\r\n$auth" . "Content-Length: 70000\r\n\r\n", 'a limit also where no body is read', 413);
unchanged($before, 'none of them');

# Unusual, but honest.
my $name = new_name('Wire');
$body = json({ name => $name });
$reply = wire("${start}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" . join('', map { sprintf "%x\r\n%s\r\n", length, $_ } $body =~ /(.{1,5})/gs) . "0\r\nTrailer: x\r\n\r\n");
is("$reply->{status} $reply->{json}{name}", "201 $name", 'chunks of five bytes, with a trailer');
# libmicrohttpd 1.0 refuses them.
$body = json({ name => $name = new_name('Extension') });
$reply = wire("${start}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" . sprintf("%x;ext=1\r\n%s\r\n0\r\n\r\n", length $body, $body));
ok($reply->{status} == 400 || "$reply->{status} $reply->{json}{name}" eq "201 $name", 'extensions of chunks are passed over, or refused');
$body = json({ name => $name = new_name('Expect') });
my $socket = connect_to();
syswrite $socket, "${start}Connection: close\r\nExpect: 100-continue\r\nContent-Length: " . length($body) . "\r\n\r\n";
my $early = read_all($socket, 0.3);
like($early, qr{^HTTP/1\.1 100 }, 'Expect: 100-continue is answered');
syswrite $socket, $body;
is(parse_reply(scalar read_all($socket))->{json}{name}, $name, '... and the body then taken');
$reply = wire("GET /api/health/ HTTP/1.0\r\n\r\n");
is("$reply->{status} $reply->{closed}", '200 1', 'HTTP/1.0 without a Host');
is(wire("GET /api/auth/me/ HTTP/1.1\r\nhOST: a\r\nAUTHORIZATION:\t  Token $token\r\ncOnNeCtIoN: close\r\n\r\n")->{status}, 200, 'headers in any case, with or without blanks');
is(wire("POST /api/patients/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n$auth${json}Content-Length: $_\r\n\r\n$body")->{status}, 200, "the length as $_") for length $body, '000' . length $body;
$reply = wire(join '', (map { "GET /api/health/ HTTP/1.1\r\nHost: a\r\n\r\n" } 1 .. 9), "GET /api/auth/me/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n$auth\r\n");
my @answers = $reply->{bytes} =~ m{HTTP/1\.1 (\d+)}g;
is("@answers", '200 ' x 9 . '200', 'ten requests in one packet: ten answers');
like($reply->{bytes}, qr/assistant/, '... in their order');
$socket = connect_to();
for my $byte (split //, "GET /api/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") { syswrite $socket, $byte }
is(parse_reply(scalar read_all($socket))->{status}, 200, 'byte by byte');

# Headers too large: 431 or the connection closed, never more.
for my $headers ('X: ' . 'y' x 9_000, 'X: ' . 'y' x 50_000, join("\r\n", map { "X-$_: y" } 1 .. 400), 'Cookie: ' . 'c' x 11_500, 'Authorization: Token ' . 'a' x 20_000, 'X' x 15_000 . ': y') {
    $reply = wire("GET /api/health/ HTTP/1.1\r\nHost: a\r\n$headers\r\n\r\n", 3);
    my $large = length($headers) > 10_500 || $headers =~ /X-400/;
    ok($reply->{closed} ? $reply->{status} == 431 || !length $reply->{bytes} : $reply->{status} == 200 && !$large, length($headers) . ' bytes of ' . substr($headers, 0, 6) . ": $reply->{status}");
}
is(wire("GET /api/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: " . 'c' x 4_000 . "\r\n\r\n")->{status}, 200, 'the cookies of a browser find room');

# Nothing of another's answer after all this.
is_deeply(call(GET => '/api/auth/me/', as => 'doctor')->{json}, { username => 'doctor', roles => ['doctor'] }, 'the service goes on');
ok(db('SELECT count(*) FROM clinicq.patient WHERE name = \'smuggled\'') == 0, 'nothing was smuggled in');

done_testing;
