# Proves that nothing of a request can end a line of a reply's headers or of the log: CR, LF, NUL, their escapes
# and look-alikes, quotes and terminal codes in the path, the query, every header that is read, values that
# are given back (ids, hosts in links, origins, names of devices and files). Each reply has the headers
# that replies have, each request one line of JSON, at the level debug too.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $origin = 'https://board.example';
my $shim = start_shim(CLINICQ_LOG_LEVEL => 'debug', CLINICQ_CORS_ORIGINS => $origin, CLINICQ_TRUSTED_PROXIES => '127.0.0.1', CLINICQ_ALLOWED_HOSTS => '127.0.0.1,a,clinic.example');
my $port = url_port($shim->{url});
my $token = token('assistant');
new_patient() for 1 .. 3;

my $mark = 'X-Injected: 1';
my %end = (CRLF => "\r\n", LF => "\n", CR => "\r", NUL => "\0", escaped => '%0d%0a', capitals => '%0D%0A', 'escaped LF' => '%0a', 'escaped NUL' => '%00', 'escaped twice' => '%250d%250a', overlong => "\xC0\x8D\xC0\x8A", 'overlong, escaped' => '%C0%8D%C0%8A',
    'cut to CRLF' => "\xE5\x98\x8D\xE5\x98\x8A", 'cut, escaped' => '%E5%98%8D%E5%98%8A', NEL => "\x85", 'LINE SEPARATOR' => "\xE2\x80\xA8", 'its escape' => '%E2%80%A8', 'as in C' => '\r\n', 'as in JSON' => '\u000d\u000a', quotes => '","level":"error","msg":"',
    'end of JSON' => '"}' . "\n" . '{"x":"', 'vertical tab' => "\x0b", 'form feed' => "\x0c", escape => "\x1b[2J", DEL => "\x7f", obs => "\xFF", tab => "\t", folded => "\r\n ", blank => ' ', 'end of headers' => "\r\n\r\n", comma => ', ', semicolon => '; ');

my %place = (
    path => sub ($x) { ("/api/patients/a$x", '') }, 'a path that is none' => sub ($x) { ("/nowhere/a$x", '') }, parameter => sub ($x) { ("/api/patients/search/?q=a$x&page_size=1", '') }, cursor => sub ($x) { ("/api/patients/?page_size=1&cursor=a$x", '') },
    'a list of numbers' => sub ($x) { ("/api/patients/?page_size=1&registration_numbers=01-00-001,01-00-002,a$x", '') }, 'name of a parameter' => sub ($x) { ("/api/patients/?page_size=1&a$x=1", '') }, 'a host in the address' => sub ($x) { ("http://a$x/api/patients/?page_size=1", '') },
    (map { my $name = $_->[0]; my $before = $_->[1]; ($name => sub ($x) { ('/api/patients/?page_size=1', "$name: $before$x\r\n") }) } ['X-Request-Id', 'id'], ['Origin', $origin], ['Accept', 'application/problem+json'], ['Content-Type', 'application/json'], ['User-Agent', 'agent'], ['Cookie', 'clinicq=a'],
        ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'], ['X-Forwarded-For', '203.0.113.9'], ['X-ClinicQ-Request', '1'], ['Referer', 'http://a/'], ['Access-Control-Request-Headers', 'authorization'], ['If-None-Match', '"a"'], ['Range', 'bytes=0-1'], ['Connection', 'close'], ['X-Forwarded-Host', 'a'], ['Idempotency-Key', 'a']),
    Host => sub ($x) { ('/api/patients/?page_size=1', undef, "a:80$x") },
);
my %header = map { $_ => 1 } qw(date content-type content-length cache-control x-content-type-options x-frame-options referrer-policy content-security-policy permissions-policy cross-origin-opener-policy cross-origin-resource-policy vary x-request-id
    www-authenticate allow connection retry-after access-control-allow-origin access-control-allow-credentials access-control-expose-headers link etag set-cookie transfer-encoding);

# Why a stream of replies is not what one request may bring; undef where it is.
sub spoiled ($bytes) {
    return 'no answer' if !length $bytes;
    my ($head, $content) = split /\r\n\r\n/, $bytes, 2;
    my ($line, @lines) = split /\r\n/, $head;
    return "first line $line" if $line !~ m{^HTTP/1\.1 [2345]\d\d [A-Z][A-Za-z -]+$};
    for my $each (@lines) {
        my ($name, $value) = $each =~ /^([A-Za-z-]+): ([ -~]*)$/ or return 'a header that is none: ' . $each =~ s/([^ -~])/sprintf '<%02X>', ord $1/ger;
        my $good = lc $name eq 'link' ? $value =~ m{^<http://a(?::\d+)?/api/[\w/?&=%.,~+-]*>; rel="next"$} : $value !~ /injected/i;
        return "the header $name: $value" if !$header{ lc $name } || !$good;
    }
    return if $content =~ /^<html/ || !length $content;
    my ($first) = $content =~ /^(.*?)(?:HTTP\/1\.1 \d{3} |$)/s;
    my $value = eval { JSON::PP::decode_json($first) };
    return "no JSON: $first" if !ref $value;
    my $text = json($value);
    return 'a link that leads away' if $text =~ m{"(?:next|previous)":"(?!https?://(?:a|127\.0\.0\.1)(?::\d+)?/api/[!-~]*")[^"]};
    return;
}

sub entries { return scalar grep { /"msg":"request"/ } log_lines($shim->{log}) }
my ($asked, $logged) = (0, entries());
# The strict library ends a first line with such bytes without a word.
my $strict = `pkg-config --modversion libmicrohttpd` =~ /^[1-9]/;
for my $where (sort keys %place) {
    my @wrong;
    for my $how (sort keys %end) {
        for my $x ($end{$how}, "$end{$how}$mark", "$end{$how}Set-Cookie: clinicq=x$end{$how}$mark") {
            my ($target, $headers, $host) = $place{$where}->($x);
            my $reply = wire("GET $target HTTP/1.1\r\nHost: " . ($host // 'a') . "\r\nAuthorization: Token $token\r\n" . ($headers // '') . "Connection: close\r\n\r\n", 3, $port);
            my $why = spoiled($reply->{bytes});
            push @wrong, "$how: $why" if defined $why && !($strict && $why eq 'no answer');
            $asked++;
        }
    }
    ok(!@wrong, "$where: " . 3 * keys(%end) . ' ways to end a line end none') or diag(join "\n", @wrong);
}

# What a body says comes back as JSON, from the names of its fields and files on.
my @spoiled;
for my $how (sort keys %end) {
    my $boundary = 'x' x 20;
    my $part = $end{$how} =~ s/[\r\n"]/_/gr;
    for my $body (["--$boundary\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na$end{$how}$mark\r\n--$boundary--\r\n", "multipart/form-data; boundary=$boundary"], ["--$boundary\r\nContent-Disposition: form-data; name=\"gender\"; filename=\"a$part$mark\"\r\nContent-Type: a$part\r\n\r\nx\r\n--$boundary--\r\n", "multipart/form-data; boundary=$boundary"],
        [json({ name => '', "a$end{$how}$mark" => 'x', gender => "$end{$how}$mark" }), 'application/json'], ["gender=$end{$how}$mark&$end{$how}=1", 'application/x-www-form-urlencoded']) {
        my $reply = wire("POST /api/patients/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $token\r\nContent-Type: $body->[1]\r\nContent-Length: " . length($body->[0]) . "\r\n\r\n$body->[0]", 3, $port);
        my $why = spoiled($reply->{bytes});
        push @spoiled, "$how: $why" if defined $why;
        $asked++;
    }
    my $agent = "agent$end{$how}$mark" =~ s/[\r\n\0]//gr;
    my $login = json({ username => (split /:/, $ENV{CLINICQ_DISPLAY})[0], password => (split /:/, $ENV{CLINICQ_DISPLAY})[1] });
    my $reply = wire("POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: $agent\r\nContent-Type: application/json\r\nContent-Length: " . length($login) . "\r\n\r\n$login", 3, $port);
    my $why = spoiled($reply->{bytes});
    push @spoiled, "device, $how: $why" if defined $why;
    $asked++;
}
ok(!@spoiled, 'nor do values, fields, files and devices') or diag(join "\n", @spoiled);
my $devices = call(GET => '/api/auth/sessions/', as => 'display', url => $shim->{url});
ok(ref $devices->{json} eq 'ARRAY' && !grep({ ($_->{device} // '') =~ /[^ -~]/ } @{ $devices->{json} }), 'devices are listed in printable ASCII');

# Ids and origins: what is not one is not given back.
for my $how (sort keys %end) {
    my $reply = wire("GET /api/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: id$end{$how}x\r\nOrigin: $origin$end{$how}x\r\n\r\n", 3, $port);
    my $id = $reply->{headers}{'x-request-id'} // '';
    ok($id =~ /^(?:[0-9a-f]{32}|id)$/ || !length $id && $reply->{content} =~ /^<html/, "$how: the id is made anew, or ends before it: $id");
    my $allowed = $reply->{headers}{'access-control-allow-origin'} // $origin;
    is($allowed, $origin, '... the origin is the one that is allowed, or none');
}

# A host that is taken over stands in links as it is; any other is refused.
for my $host ('clinic.example', 'CLINIC.example', 'clinic.example:8443', 'a:1') {
    my $reply = wire("GET /api/patients/?page_size=1 HTTP/1.1\r\nHost: $host\r\nConnection: close\r\nAuthorization: Token $token\r\n\r\n", 3, $port);
    like($reply->{json}{next} // '', qr{^http://\Q$host\E/api/patients/\?}, "links by $host");
}
for my $host ('clinic.example/x', 'clinic.example?x', 'clinic.example#x', 'x@clinic.example', 'clinic.example:80:80', 'clinic.example:', 'clinic.example:80x', 'clinic.example "', "clinic.example\t80", 'clinic.example,evil.example', 'evil.example', '', '[::1', 'clinic.example.', "clinic.example\xA0") {
    my $reply = wire("GET /api/patients/?page_size=1 HTTP/1.1\r\nHost: $host\r\nConnection: close\r\nAuthorization: Token $token\r\n\r\n", 3, $port);
    ok($reply->{status} == 400 || $host eq 'clinic.example:' && ($reply->{json}{next} // '') =~ m{^http://clinic\.example:/api/}, "the host '" . $host =~ s/([^ -~])/sprintf '<%02X>', ord $1/ger . "': $reply->{status}");
}

# The log: one line for each request that was one, all of it JSON, none of it ours to write.
is($shim->stop, 0, 'it ends');
my @lines = log_lines($shim->{log});
my @broken = grep { my $line = eval { JSON::PP::decode_json($_) }; ref $line ne 'HASH' || !$line->{time} || !$line->{level} || !defined $line->{msg} } @lines;
is(scalar @broken, 0, scalar(@lines) . ' lines of the log are JSON with time, level and message') or diag(@broken[0 .. ($#broken > 4 ? 4 : $#broken)]);
is(scalar(grep { /injected/i } @lines), 0, '... without what was to be a line') or diag(grep { /injected/i } @lines);
is(scalar(grep { /[^\t -~]/ } @lines), 0, '... and without a byte that is not printable ASCII');
is(scalar(grep { /"level":"error"/ } @lines), 0, '... or an error');
cmp_ok(scalar(grep { /"msg":"request"/ } @lines), '<=', $logged + 2 * $asked + 300, 'requests are lines, no more');

done_testing;
