# Proves whose X-Forwarded-For counts: that of trusted proxies only, from the right; and what changes
# behind a proxy that terminates TLS. The address is what the audit log keeps.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $trusting = start_shim(CLINICQ_TRUSTED_PROXIES => '127.0.0.1, 10.0.0.0/8,2001:db8::/32', CLINICQ_TLS_PROXY => 'on');
my $plain = start_shim();

# Who the audit log says it was.
sub client_of ($shim, @headers) {
    my $name = new_name('Seen');
    my $body = json({ name => $name });
    my $reply = wire(join("\r\n", 'POST /api/patients/ HTTP/1.1', 'Host: a', 'Connection: close', 'Content-Type: application/json', 'Authorization: Token ' . token('assistant'),
        'Content-Length: ' . length $body, @headers, '', $body), 5, url_port($shim->{url}));
    answers($reply, 201, "X-Forwarded-For @headers");
    return db("SELECT host(client) FROM clinicq_audit.event WHERE entity = 'patient' AND action = 'INSERT' AND changes -> 'name' ->> 'new' = '$name'");
}
my @cases = (
    ['no header', '127.0.0.1'], ['one address', '203.0.113.9', '203.0.113.9'], ['what the client says stands left', '203.0.113.9', '198.51.100.1, 203.0.113.9'],
    ['past trusted ones', '203.0.113.9', '198.51.100.1, 203.0.113.9, 10.1.2.3'], ['all are trusted', '10.9.9.9', '10.9.9.9,10.1.2.3'], ['an IPv6 network', '203.0.113.9', '203.0.113.9, 2001:db8::7'],
    ['IPv6', '2001:db9::1', '2001:db9::1'], ['with a port', '203.0.113.9', '203.0.113.9:4711'], ['IPv6 with a port', '2001:db9::1', '[2001:db9::1]:4711'], ['mapped', '203.0.113.9', '::ffff:203.0.113.9'],
    ['blanks and empty items', '203.0.113.9', ' , 203.0.113.9 ,, '], ['no address', '127.0.0.1', 'unknown'], ['a name before a proxy', '10.1.2.3', '203.0.113.9, evil, 10.1.2.3'],
    ['not quite one', '127.0.0.1', '203.0.113.9.1'], ['injection', '127.0.0.1', q{203.0.113.9'); DROP TABLE x; --}], ['a long one', '127.0.0.1', '1' x 3000], ['with a bad port', '127.0.0.1', '203.0.113.9:x'], ['open bracket', '127.0.0.1', '[::2'],
);
for my $case (@cases) {
    my ($what, $want, @value) = @$case;
    is(client_of($trusting, map { "X-Forwarded-For: $_" } @value), $want, $what);
}
is(client_of($trusting, 'X-Forwarded-For: 198.51.100.1', 'x-forwarded-for: 203.0.113.9', 'X-FORWARDED-FOR: 10.1.1.1'), '203.0.113.9', 'the header three times is one list');
is(client_of($plain, 'X-Forwarded-For: 203.0.113.9'), '127.0.0.1', 'without trusted proxies it does not count');
is(client_of($plain, 'Forwarded: for=203.0.113.9', 'X-Real-IP: 203.0.113.9', 'X-Client-IP: 203.0.113.9'), '127.0.0.1', 'nor do others like it');

# TLS in front.
new_patient() for 1 .. 2;
my $page = call(GET => '/api/patients/?page_size=1', as => 'doctor', url => $trusting->{url});
like($page->{json}{next}, qr{^https://127\.0\.0\.1:\d+/api/}, 'links are https');
is($page->{headers}{'strict-transport-security'}, 'max-age=31536000', 'HSTS is sent');
is(call(GET => '/nowhere/', url => $trusting->{url})->{headers}{'strict-transport-security'}, 'max-age=31536000', '... with every reply');
like(call(GET => '/api/patients/?page_size=1', as => 'doctor', url => $plain->{url}, headers => { 'X-Forwarded-Proto' => 'https' })->{json}{next}, qr{^http://}, 'no header alone makes them https');
is($_->stop, 0, 'it ends') for $trusting, $plain;

done_testing;
