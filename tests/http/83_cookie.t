# Proves the session of pages: Set-Session of the database becomes a cookie that scripts cannot read; it
# serves where there is no Authorization; a write with it needs our own origin and a header of its own;
# the call before a call; Retry-After of the database.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $origins = 'https://board.example';
my $shim = start_shim(CLINICQ_CORS_ORIGINS => $origins);
my $tls = start_shim(CLINICQ_TLS_PROXY => 'on', CLINICQ_ALLOWED_HOSTS => 'clinic.example,127.0.0.1');
my $own = $shim->{url};

# Routes of a DBA's own that set what they are told to, count calls before, and ask to wait.
my %functions = (session => q{SELECT 200, '{}'::json, json_build_object('Set-Session', $2 ->> 's', 'X-Other', 'one')}, wait => q{SELECT public.clinicq_test_wait(), NULL::json, NULL::json},
    first => q{SELECT ($2 ->> 'first')::int, '{"said":"first"}'::json, NULL::json}, second => q{SELECT 200, '{"said":"second"}'::json, NULL::json});
sub function ($name) { return "public.clinicq_test_$name" }
db(q{CREATE FUNCTION public.clinicq_test_wait() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'Not so fast.' USING ERRCODE = 'QC429', DETAIL = '{"detail": "Not so fast.", "retry_after": 7}'; END $f$});
for my $name (sort keys %functions) {
    db(sprintf 'CREATE FUNCTION %s(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $f$ %s $f$', function($name), $functions{$name});
    db(sprintf q{COMMENT ON FUNCTION %s(text[], jsonb, text) IS 'For a test. Who: anyone.'}, function($name));
    db(sprintf q{INSERT INTO clinicq.route (method, path, function, class, body, who, summary) VALUES ('GET', '/api/test/%s/', '%s', 'slow', 'none', '{anyone}', 'Test.')}, $name, function($name));
}
db(sprintf q{UPDATE clinicq.route SET before = '%s' WHERE path = '/api/test/second/'; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO clinicq_owner}, function('first'));
for my $each ($shim, $tls) {
    ok(wait_for(12, sub { call(GET => '/api/test/second/?first=204', url => $each->{url})->{status} == 200 }), 'the routes of this test are served');
}

sub set ($each, $value, %headers) { return call(GET => "/api/test/session/?s=$value", url => $each->{url}, headers => \%headers)->{headers} }
my $headers = set($shim, 'abc.DEF_1-2%2043200');
is($headers->{'set-cookie'}, 'clinicq=abc.DEF_1-2; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200', 'a session becomes a cookie');
ok(!exists $headers->{'set-session'} && $headers->{'x-other'} eq 'one', '... and nothing else; other headers go on');
is(set($shim, '')->{'set-cookie'}, 'clinicq=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0', 'an empty one takes it away');
is(set($tls, 'abc%2060')->{'set-cookie'}, '__Host-clinicq=abc; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=60', 'over TLS: Secure, for this host only');
for my $bad ('abc', 'abc%20', 'abc%20x', 'a;b%2060', 'a%0d%0aX:%20y%2060', '%2060', 'abc%2060;x', 'a"%2060') {
    $headers = set($shim, $bad);
    ok(!exists $headers->{'set-cookie'} && !exists $headers->{'set-session'} && !exists $headers->{x}, "no cookie of $bad");
}
ok(!exists set($shim, 'abc%2060', Origin => 'http://evil.example')->{'set-cookie'}, 'no log-in by the page of another site');
is(set($shim, 'abc%2060', Origin => $_)->{'set-cookie'} // '', 'clinicq=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60', "... but by one of $_") for $own, $origins;

# Reads.
my ($doctor, $assistant) = (token('doctor'), token('assistant'));
sub me ($each, %headers) { return call(GET => '/api/auth/me/', url => $each->{url}, headers => \%headers) }
is(me($shim, Cookie => "clinicq=$doctor")->{json}{username}, 'doctor', 'the cookie says who it is');
is(me($shim, Cookie => "a=b; clinicq=$doctor;c=d")->{json}{username}, 'doctor', '... among others');
is(me($shim, Cookie => "clinicq=$doctor", Authorization => "Token $assistant")->{json}{username}, 'assistant', 'Authorization wins');
is(me($shim, Cookie => "clinicq=$doctor", Authorization => $_)->{status}, 401, "... also when it is no good: $_") for 'Token nonsense', 'Basic eDp5', 'Token', '';
is(me($shim, Cookie => $_)->{status}, 401, 'no session in ' . substr $_, 0, 30)
    for "xclinicq=$doctor", "clinicq=$doctor,x", "clinicq=\"$doctor\"", "clinicq= $doctor", 'clinicq=', "clinicq=${doctor}x", "clinicq", "__Host-clinicq=$doctor", "Clinicq=$doctor", 'clinicq=' . 'a' x 200, "a=\"; clinicq=$doctor\"";
is(me($tls, Cookie => "__Host-clinicq=$doctor")->{json}{username}, 'doctor', 'over TLS under its other name');
is(me($tls, Cookie => "clinicq=$doctor")->{status}, 401, '... and only that');
is(call(POST => '/api/auth/login/', url => $own, json => { username => 'nobody', password => 'wrong password' }, headers => { Cookie => "clinicq=$doctor" })->{status}, 400, 'a route without a token does not look at it');

# Writes: each wrong combination.
sub create ($each, $headers, %how) { return call(POST => '/api/patients/', url => $each->{url}, json => { name => new_name() }, headers => { %$headers }, %how) }
my %good = (Cookie => "clinicq=$assistant", Origin => $own, 'X-ClinicQ-Request' => 1);
answers(create($shim, \%good), 201, 'a write of our own page');
answers(create($shim, { %good, Origin => $origins }), 201, '... of a page that may');
my $before = snapshot();
for my $wrong ({ Origin => undef }, { Origin => 'null' }, { Origin => '' }, { Origin => 'http://evil.example' }, { Origin => "$own.evil.example" }, { Origin => $own =~ s/http/https/r }, { Origin => $own =~ s/:\d+//r }, { Origin => "$own/" },
    { Origin => "http://x\@" . $own =~ s{http://}{}r }, { 'X-ClinicQ-Request' => undef }, { 'X-ClinicQ-Request' => 0 }, { 'X-ClinicQ-Request' => 'true' }, { Origin => undef, 'X-ClinicQ-Request' => undef }) {
    my %headers = (%good, %$wrong);
    delete @headers{ grep { !defined $headers{$_} } keys %headers };
    refused(create($shim, \%headers), 403, 'detail', 'not with ' . json($wrong));
}
refused(call($_ => '/api/patients/01-00-001/', url => $own, json => {}, headers => { Cookie => $good{Cookie} }), 403, 'detail', "nor $_") for qw(PUT PATCH DELETE);
unchanged($before, 'what another site made a browser send');
answers(create($shim, { Cookie => $good{Cookie} }, as => 'assistant'), 201, 'with Authorization all that does not matter');
answers(create($shim, { Cookie => 'clinicq=' . 'a' x 64, Origin => $own, 'X-ClinicQ-Request' => 1 }), 401, 'a session that is none');
my %secure = (Cookie => "__Host-clinicq=$assistant", 'X-ClinicQ-Request' => 1);
my $origin = $tls->{url} =~ s/http:/https:/r;
answers(create($tls, { %secure, Origin => $origin }), 201, 'behind TLS the origin is https');
answers(create($tls, { %secure, Origin => $tls->{url} }), 403, '... and http is another');
is(call(OPTIONS => '/api/patients/', url => $own, headers => { %good, Origin => $origins, 'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'x-clinicq-request' })->{headers}{'access-control-allow-headers'} =~ /x-clinicq-request/, 1, 'a preflight allows the header');

# The call before.
is(call(GET => '/api/test/second/?first=204', url => $own)->{json}{said}, 'second', 'what goes before lets it follow');
for my $status (200, 403, 429, 503) {
    my $reply = call(GET => "/api/test/second/?first=$status", url => $own);
    is("$reply->{status} $reply->{json}{said}", "$status first", "... or answers with $status");
}
is(call(GET => '/api/test/second/?first=x', url => $own)->{status}, 400, '... or fails');

# Retry-After of the database.
my $reply = call(GET => '/api/test/wait/', url => $own);
is("$reply->{status} $reply->{headers}{'retry-after'} $reply->{json}{detail}", '429 7 Not so fast.', 'the database says when to come again');

db(sprintf q{DELETE FROM clinicq.route WHERE path LIKE '/api/test/%%'; %s; DROP FUNCTION public.clinicq_test_wait()}, join '; ', map { 'DROP FUNCTION ' . function($_) . '(text[], jsonb, text)' } sort keys %functions);
is($_->stop, 0, 'it ends') for $shim, $tls;

done_testing;
