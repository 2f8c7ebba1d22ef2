# Proves that no page of another site can make a browser write: every route that writes, from clinicq.route,
# refuses a session in a cookie with each wrong combination of Origin, our own header, kind of body and
# Authorization, before it does anything; and that what does not write has no effect to be had.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $allowed = 'https://board.example';
my $shim = start_shim(CLINICQ_CORS_ORIGINS => $allowed);
my $own = $shim->{url};
my $port = url_port($own);
my $user = new_user('admin');

sub cookie_session {
    my $reply = call(POST => '/api/auth/login/', url => $own, json => { username => $user->{username}, password => $user->{password}, cookie => JSON::PP::true });
    return ($reply->{headers}{'set-cookie'} // '') =~ /^(clinicq=[0-9a-f]{64});/ ? $1 : die "no cookie: $reply->{status}\n";
}
my $cookie = cookie_session();
my $stale = 'f' x 64;

# What differs from a right request; undef: not sent. 401: then the cookie does not count at all.
my %wrong = (
    (map { ("Origin $_->[0]" => { Origin => $_->[1] }) } ['absent', undef], ['null', 'null'], ['empty', ''], ['of another host', 'http://evil.example'], ['of another scheme', "https://127.0.0.1:$port"],
        ['of another port', 'http://127.0.0.1:' . ($port + 1)], ['without the port', 'http://127.0.0.1'], ['that begins like ours', "$own.evil.example"], ['that begins like ours, digits', "${own}0"],
        ['that ends like ours', "http://evil.example/127.0.0.1:$port"], ['with a user', "http://127.0.0.1:$port\@evil.example"], ['with another user', "http://evil\@127.0.0.1:$port"], ['with a path', "$own/"], ['with a query', "$own?"],
        ['that is a list', "$own http://evil.example"], ['that is a list with ours last', "http://evil.example, $own"], ['by another name', "http://localhost:$port"], ['in capitals', uc $own], ['of another number', "http://2130706433:$port"],
        ['without a scheme', "127.0.0.1:$port"], ['of a file', 'file://'], ['of an extension', 'moz-extension://127.0.0.1'], ['almost allowed', "$allowed.evil.example"], ['almost allowed, one more', "${allowed}s"], ['allowed, with a port', "$allowed:443"],
        ['allowed, by http', 'http://board.example'], ['below an allowed one', 'https://x.board.example']),
    (map { ("X-ClinicQ-Request $_->[0]" => { 'X-ClinicQ-Request' => $_->[1] }) } ['absent', undef], ['0', '0'], ['true', 'true'], ['11', '11'], ['1 and more', '1, 1'], ['empty', '']),
    'X-Requested-With instead' => { 'X-ClinicQ-Request' => undef, 'X-Requested-With' => 'XMLHttpRequest' },
    'X-CSRFToken instead' => { 'X-ClinicQ-Request' => undef, 'X-CSRFToken' => $cookie },
    'Referer instead of Origin' => { Origin => undef, Referer => "$own/page" },
    'X-Forwarded-Host for Host' => { Origin => 'http://evil.example', 'X-Forwarded-Host' => 'evil.example' },
    'Host of the attacker beside Origin' => { Origin => "http://a:$port" },
    'both absent' => { Origin => undef, 'X-ClinicQ-Request' => undef },
    (map { ("a form of another site: $_" => { Origin => 'http://evil.example', 'X-ClinicQ-Request' => undef, 'Content-Type' => $_ }) } 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', 'application/json'),
    (map { ("a form of our site without the header: $_" => { 'X-ClinicQ-Request' => undef, 'Content-Type' => $_ }) } 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain'),
    (map { ("with Authorization '$_'" => { Authorization => $_, status => 401 }) } "Token $stale", 'Basic eDp5', 'Token', '', "Bearer $stale"),
    'from elsewhere with Authorization' => { Origin => 'http://evil.example', Authorization => "Token $stale", status => 401 },
    'another cookie of that name behind it' => { Cookie => "$cookie; clinicq=$stale", Origin => 'http://evil.example' },
    'another cookie of that name before it' => { Cookie => "clinicq=$stale; $cookie", Origin => 'http://evil.example' },
);

# Raw, so that each header goes out as it stands here.
sub ask ($method, $path, %headers) {
    my $body = 'name=planted&username=planted&password=planted+by+another+99&queue=1';
    my $socket = connect_to($port);
    my %all = (Host => "127.0.0.1:$port", Connection => 'close', Cookie => $cookie, Origin => $own, 'X-ClinicQ-Request' => 1, 'Content-Type' => 'application/x-www-form-urlencoded', %headers);
    syswrite $socket, join "\r\n", "$method $path HTTP/1.1", (map { defined $all{$_} ? "$_: $all{$_}" : () } sort keys %all), 'Content-Length: ' . length $body, '', $body;
    return { %{ parse_reply(scalar read_all($socket)) }, asked => "$method $path" };
}

my @writing = grep { $_->{method} ne 'GET' } ROUTES;
my @closed = grep { $_->{who}[0] ne 'anyone' } @writing;
cmp_ok(scalar @closed, '>', 25, scalar(@closed) . ' routes write');
my $before = snapshot();
for my $route (@closed) {
    my $path = path_of($route, id => 1, registration_number => '01-00-001');
    my @let;
    for my $what (sort keys %wrong) {
        my %headers = %{ $wrong{$what} };
        my $status = delete $headers{status} // 403;
        my $why = faults_in(ask($route->{method} => $path, %headers), $status, 'detail');
        push @let, "$what: $why" if defined $why;
    }
    ok(!@let, "$route->{method} $route->{path}: " . keys(%wrong) . ' wrong combinations are refused') or diag(join "\n", @let);
}
unchanged($before, 'what other sites made a browser send');
is(ask(GET => '/api/auth/me/', Origin => undef)->{json}{username}, $user->{username}, '... nor did it end the session');

# With all of it right, every one of them is let in; so nothing else was what refused.
for my $route (@closed) {
    my $path = path_of($route, id => 999_999_999, registration_number => '98-98-998');
    my %mine = $route->{path} =~ /logout/ ? (Cookie => cookie_session()) : ();
    for my $origin ($own, $allowed) {
        my $reply = ask($route->{method} => $path, %mine, Origin => $origin, 'Content-Type' => 'application/json');
        ok($reply->{status} =~ /^(?:2\d\d|400|404|409)$/ || $route->{body} eq 'file' && $reply->{status} == 415 || %mine && $reply->{status} == 401, "$route->{method} $route->{path}: from " . ($origin eq $own ? 'our page' : 'an allowed one') . ': let in') or diag("$reply->{status} $reply->{content}");
        $cookie = cookie_session() if $route->{path} =~ /logout_all/;
    }
}

# Wrong methods are writes too; names of methods in headers and fields are nothing.
refused(ask($_ => '/api/queues/', Origin => 'http://evil.example'), 403, 'detail', "$_ from another site") for qw(PUT DELETE PATCH LOCK POSTX);
$before = snapshot();
for my $header (qw(X-HTTP-Method-Override X-HTTP-Method X-Method-Override)) {
    my $reply = ask(GET => "/api/users/$user->{id}/", Origin => undef, $header => 'PATCH');
    is($reply->{json}{username}, $user->{username}, "$header makes no write of a read");
}
ask(GET => "/api/queues/?_method=DELETE&method=POST", Origin => undef);
for my $route (grep { $_->{method} eq 'GET' } ROUTES) {
    my $path = path_of($route, id => 1, registration_number => '01-00-001');
    ask($_ => $path, Origin => 'http://evil.example', 'X-ClinicQ-Request' => undef, 'Content-Length' => undef) for qw(GET HEAD);
}
unchanged($before, 'reads of another site');

# Reads give another site nothing to read: no permission, and no frame.
my $reply = ask(GET => '/api/patients/', Origin => 'http://evil.example');
is(join(' ', grep { /^access-control/ } keys %{ $reply->{headers} }), '', 'another site is not permitted to read a reply');
is("$reply->{headers}{'cross-origin-resource-policy'} $reply->{headers}{'x-frame-options'}", 'same-origin DENY', '... nor to show or load it');

# Routes without a token do not act for the cookie, and log nobody in for another site.
for my $route (grep { $_->{who}[0] eq 'anyone' } @writing) {
    my $answer = ask($route->{method} => $route->{path}, Origin => 'http://evil.example', 'X-ClinicQ-Request' => undef);
    ok($answer->{status} =~ /^(?:4\d\d|202)$/ && !exists $answer->{headers}{'set-cookie'}, "$route->{method} $route->{path} from another site: $answer->{status}, no cookie");
}
my %log_in = (username => $user->{username}, password => $user->{password}, cookie => JSON::PP::true);
for my $origin ('http://evil.example', 'null', "$own.evil.example") {
    $reply = call(POST => '/api/auth/login/', url => $own, json => \%log_in, headers => { Origin => $origin, Cookie => $cookie });
    ok(!exists $reply->{headers}{'set-cookie'}, "$origin logs no browser in");
}
is(ask(GET => '/api/auth/me/', Origin => undef)->{json}{username}, $user->{username}, '... nor out');
is($shim->stop, 0, 'it ends');

done_testing;
