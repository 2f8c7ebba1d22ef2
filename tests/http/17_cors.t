# Proves section 1.8: browsers of the allowed origins may call, on every path and for every outcome;
# others get no permission; a preflight is answered before routing and without a token.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my @allowed = ('http://localhost:5173', 'http://127.0.0.1:5173');
my @others = ('http://localhost:5174', 'https://localhost:5173', 'http://evil.example', 'null', 'http://localhost:5173.evil.example',
    'http://localhost:517', 'HTTP://LOCALHOST:5173', 'http://localhost:5173/', '*', 'http://localhost:5173 http://evil.example', '');
my $visit = new_visit(new_queue());

sub preflight ($path, $origin, $method = 'GET', %headers) {
    return call(OPTIONS => $path, headers => { Origin => $origin, 'Access-Control-Request-Method' => $method, %headers });
}
sub cors ($reply) { return join ' ', sort grep { /^access-control/ } keys %{ $reply->{headers} } }

my @paths = ('/api/queues/', '/api/patients/01-00-001/', '/api/visits/1/start', '/api/nothing/at/all/', '/', '/api/auth/login/');
for my $origin (@allowed) {
    for my $path (@paths) {
        my $reply = preflight($path, $origin, 'PATCH', 'Access-Control-Request-Headers' => 'authorization,content-type');
        is($reply->{status}, 200, "preflight of $path from $origin");
        is($reply->{content} // '', '', '... is empty');
        my $headers = $reply->{headers};
        is($headers->{'access-control-allow-origin'}, $origin, '... allows this origin');
        is($headers->{'access-control-allow-credentials'}, 'true', '... with credentials');
        is($headers->{'access-control-max-age'}, 86400, '... for a day');
        is(join(' ', sort split /, */, $headers->{'access-control-allow-methods'}), 'DELETE GET OPTIONS PATCH POST PUT', '... these methods');
        my %may = map { $_ => 1 } split /, */, lc $headers->{'access-control-allow-headers'};
        ok(!grep({ !$may{$_} } qw(accept accept-encoding authorization content-type dnt idempotency-key if-match if-none-match origin user-agent x-csrftoken x-requested-with)), '... these headers');
        like($headers->{vary}, qr/\bOrigin\b/i, '... Vary: Origin');
    }
}
for my $origin (@others) {
    my $reply = preflight('/api/queues/', $origin);
    is($reply->{status}, 200, "preflight from '$origin' is 200");
    is(cors($reply), '', '... without permission');
    like($reply->{headers}{vary}, qr/\bOrigin\b/i, '... Vary: Origin');
    $reply = call(GET => '/api/queues/', as => 'doctor', headers => { Origin => $origin });
    is("$reply->{status} " . cors($reply), '200 ', '... a request is answered, without permission');
}

# Real replies, whatever they say.
my $origin = $allowed[0];
my %outcomes = (
    200 => [GET => '/api/queues/', as => 'doctor'], 201 => [POST => '/api/patients/', as => 'assistant', json => { name => new_name() }],
    204 => [POST => '/api/auth/logout/', token => new_user()->{token}], 400 => [POST => '/api/patients/', as => 'assistant', json => {}],
    401 => [GET => '/api/queues/'], 403 => [GET => '/api/users/', as => 'doctor'], 404 => [GET => '/api/none/'],
    405 => [PUT => '/api/queues/', as => 'admin'], 409 => [PATCH => "/api/visits/$visit->{id}/done/", as => 'doctor'],
    413 => [POST => '/api/patients/', as => 'assistant', body => 'x' x 70_000], 415 => [POST => '/api/patients/', as => 'assistant', body => 'x', type => 'x/y'],
);
for my $status (sort keys %outcomes) {
    my ($method, $path, %how) = @{ $outcomes{$status} };
    my $reply = call($method => $path, %how, headers => { Origin => $origin });
    is($reply->{status}, $status, "$method $path from a browser");
    is(cors($reply), 'access-control-allow-credentials access-control-allow-origin access-control-expose-headers', "... $status carries the permission");
    is($reply->{headers}{'access-control-expose-headers'}, 'ETag, Idempotency-Replayed, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-Id', '... and lets pages read these headers');
    is($reply->{headers}{'access-control-allow-origin'}, $origin, '... for this origin');
    like($reply->{headers}{vary}, qr/\bOrigin\b/i, '... Vary: Origin');
    is($reply->{headers}{'cache-control'}, 'no-store', '... and is not kept');
}
my $native = call(GET => '/api/queues/', as => 'doctor');
is(cors($native), '', 'without Origin there is nothing to say');
like($native->{headers}{vary}, qr/\bOrigin\b/i, '... but Vary: Origin');

# OPTIONS that is no preflight.
my $options = call(OPTIONS => '/api/queues/', headers => { Origin => $origin });
is($options->{status}, 204, 'OPTIONS without a method asked for: 204');
is(join(' ', sort split /, */, $options->{headers}{allow}), 'GET HEAD OPTIONS POST', '... with Allow');
is($options->{headers}{'access-control-allow-origin'}, $origin, '... and the permission');
answers(call(OPTIONS => '/api/none/'), 404, 'OPTIONS of nothing: 404');

# A shim without origins allows none.
my $closed = start_shim();
is(cors(preflight('/api/queues/', $origin)), 'access-control-allow-credentials access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-max-age', 'here the origin may');
my $reply = call(OPTIONS => '/api/queues/', url => $closed->{url}, headers => { Origin => $origin, 'Access-Control-Request-Method' => 'GET' });
is("$reply->{status} " . cors($reply), '200 ', 'a shim without origins permits none');
is($closed->stop, 0, 'it ends');

done_testing;
