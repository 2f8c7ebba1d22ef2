# Proves that tokens cannot be guessed or chosen beforehand, that a log-in in a browser ends what the browser
# held, that neither words nor time tell a wrong password from an unknown user, that the count of tries holds
# for any spelling, any number of clients and two shims, and that nobody can lock somebody else out.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use List::Util qw(min);
use Test::More;

my $url = $ENV{CLINICQ_URL};
my $user = new_user('doctor');
my $login = '/api/auth/login/';
sub log_in (%how) { return login($user->{username}, $user->{password}, %how) }
sub me ($token) { return call(GET => '/api/auth/me/', token => $token)->{status} }
sub by_cookie ($token) { return call(GET => '/api/auth/me/', headers => { Cookie => "clinicq=$token" })->{status} }
sub forget { db('TRUNCATE clinicq.log_in_attempt'); return }

# Tokens: what could be guessed from others, or from one that is near.
my @tokens = map { log_in()->{json}{token} } 1 .. 100;
my %seen;
$seen{$_}++ for @tokens, map { substr($_, 0, 12), substr($_, -12) } @tokens;
is(scalar(grep { $_ > 1 } values %seen), 0, 'a hundred tokens have no end in common');
my @constant = grep { my $at = $_; my %digit = map { substr($_, $at, 1) => 1 } @tokens; keys %digit < 8 } 0 .. 63;
is("@constant", '', '... and differ at each place');
my %at = map { $_->[0] => 1 } db_rows("SELECT encode(token_hash, 'hex') FROM clinicq.session");
is(scalar(grep { $at{$_} } @tokens), 0, '... nor is any of them stored');
sub statuses_of (@guesses) {
    my %status;
    while (my @some = splice @guesses, 0, 50) {
        my $bytes = join '', map { "GET /api/auth/me/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token $some[$_]\r\n" . ($_ == $#some ? "Connection: close\r\n" : '') . "\r\n" } 0 .. $#some;
        $status{$_}++ for wire($bytes)->{bytes} =~ m{HTTP/1\.1 (\d+) }g;
    }
    return \%status;
}
my $token = $tokens[0];
my @near = map { my $at = $_; map { substr($token, 0, $at) . $_ . substr $token, $at + 1 } grep { $_ ne substr $token, $at, 1 } qw(0 1 7 8 f) } 0 .. 63;
is_deeply(statuses_of(@near), { 401 => scalar @near }, @near . ' tokens that differ in one digit are 401');
my @random = map { join '', map { sprintf '%x', rand 16 } 1 .. 64 } 1 .. 1000;
is_deeply(statuses_of(@random), { 401 => 1000 }, '... so are a thousand at random');
is_deeply(statuses_of(map { ($token . $_, $_ . $token, "$_$token$_") } '%00', '%20', '0', '=', '.', ';', ',', '/', '"', "'"), { 401 => 30 }, '... and ones with something before or behind');
is(me($token), 200, 'the right one goes on to work');
my ($hash) = db("SELECT encode(token_hash, 'hex') FROM clinicq.session WHERE token_hash = sha256('$token')");
is(me($hash), 401, 'what the database keeps opens nothing');

# Fixation: whatever a client brings along, a log-in gives a token that nobody knew.
my $chosen = 'c0ffee' . 'ab' x 29;
for my $brought ({ headers => { Cookie => "clinicq=$chosen" } }, { headers => { Cookie => "sessionid=$chosen; __Host-clinicq=$chosen; clinicq=$chosen" } }, { headers => { Authorization => "Token $chosen" } }, { headers => { 'Set-Session' => "$chosen 600", 'X-Session' => $chosen } },
    (map { { json => { username => $user->{username}, password => $user->{password}, $_ => $chosen } } } qw(token access refresh session session_id cookie id)), (map { { path => "$login?$_=$chosen" } } qw(token session clinicq))) {
    my $reply = call(POST => $brought->{path} // $login, json => { username => $user->{username}, password => $user->{password} }, %$brought);
    ok($reply->{status} == 200 && $reply->{json}{token} ne $chosen && me($chosen) == 401 && by_cookie($chosen) == 401, 'a token that the client chose is not taken over: ' . json($brought)) or diag($reply->{content});
}
refused(call(POST => '/api/auth/refresh/', json => { refresh => $chosen }), 401, 'detail', '... nor a refresh token');

# A browser: each log-in has a new cookie and ends the session that it held, whosever that was.
sub in_browser ($held, $name = $user->{username}, %headers) {
    my $reply = call(POST => $login, json => { username => $name, password => $user->{password}, cookie => JSON::PP::true }, headers => { ($held ? (Cookie => "clinicq=$held") : ()), %headers });
    is($reply->{json}{token}, undef, 'no script sees the token');
    return ($reply->{headers}{'set-cookie'} // '') =~ /^clinicq=([0-9a-f]{64});/ ? $1 : '';
}
my $first = in_browser(undef);
is(by_cookie($first), 200, '... which the cookie has');
my $second = in_browser($first);
is(by_cookie($second), 200, 'a second log-in has one of its own');
isnt($second, $first, '... another one');
is(by_cookie($first), 401, '... and ends the first');
my $failed = call(POST => $login, json => { username => $user->{username}, password => 'not the right one', cookie => JSON::PP::true }, headers => { Cookie => "clinicq=$second" });
is("$failed->{status} " . by_cookie($second), '400 200', 'one that fails ends nothing');
log_in(headers => { Cookie => "clinicq=$second" });
is(by_cookie($second), 200, '... nor does one that is not for a cookie');
in_browser($second, $user->{username}, Origin => 'http://evil.example');
is(by_cookie($second), 200, '... nor one of another site');
my $other = { %{ new_user('display') } };
my $third = in_browser($second, $other->{username});
is(by_cookie($second) . ' ' . by_cookie($third), '401 200', 'another user at the same browser: the one before is logged out');
my $out = call(POST => '/api/auth/logout/', headers => { Cookie => "clinicq=$third", Origin => $url, 'X-ClinicQ-Request' => 1 });
is("$out->{status} $out->{headers}{'set-cookie'}", '204 clinicq=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0', 'log-out takes the cookie away');
is(by_cookie($third), 401, '... and a copy of it is worth nothing');

# The answer to a wrong password is, byte for byte, that to a user there is not.
my $disabled = new_user('doctor');
call(PATCH => "/api/users/$disabled->{id}/", as => 'admin', json => { disabled => JSON::PP::true });
sub bytes_of ($name, $password) {
    my $body = json({ username => $name, password => $password });
    my $reply = wire("POST $login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: same\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
    return $reply->{bytes} =~ s/^Date: [^\r]*/Date: now/mr;
}
my $wrong = bytes_of($user->{username}, 'not the right one');
like($wrong, qr{^HTTP/1\.1 400 .*non_field_errors}s, 'a wrong password');
is(bytes_of(@$_), $wrong, "... and $_->[0] are told the same") for ['nobody.at.all', 'not the right one'], [$disabled->{username}, $disabled->{password}], [$disabled->{username}, 'not the right one'], ['a' x 150, $user->{password}], [$user->{username}, 'x' x 3000];
forget();

# Time: with hashes of full strength, the quickest of interleaved tries, because other work only adds.
my %strength = map { $_ => db("SELECT value FROM clinicq.setting WHERE name = '$_'") } qw(password_memory_kib password_iterations);
set_setting(password_memory_kib => 19456);
set_setting(password_iterations => 2);
answers(log_in(), 200, 'a log-in, after which the hash is as strong as it has to be');
sub took ($name) {
    my $began = time;
    my $status = login($name, 'not the right one')->{status};
    return $status == 400 ? time - $began : die "log-in of $name: $status\n";
}
my %took;
for my $n (1 .. 25) {
    forget() if $n % 10 == 0;
    for my $what (sort { rand() <=> 0.5 } qw(known unknown disabled)) {
        push @{ $took{$what} }, took({ known => $user->{username}, unknown => "nobody.$n", disabled => $disabled->{username} }->{$what});
    }
}
my %quickest = map { $_ => 1000 * min(@{ $took{$_} }) } keys %took;
my $times = join ', ', map { sprintf '%s %.1f ms', $_, $quickest{$_} } sort keys %quickest;
cmp_ok($quickest{known}, '>', 5, "a wrong password costs a hash ($times)");
cmp_ok(abs($quickest{$_} - $quickest{known}), '<', 0.3 * $quickest{known} + 2, "... $_: as long") for qw(unknown disabled);
set_setting($_ => $strength{$_}) for keys %strength;

# Counting: spellings of a name, two shims, forty clients at once.
forget();
set_setting(log_in_attempts => 5);
my $guessed = new_user('display');
my $name = $guessed->{username};
my @statuses = map { login($_, 'not the right one')->{status} } $name, " $name", "$name\t", uc $name, ucfirst $name, "  $name  ";
is("@statuses", '400 400 400 400 400 429', 'every spelling of a name counts as that name');
is(login($name, $guessed->{password}, headers => $_)->{status}, 429, '... and no header makes another client of one: ' . json($_))
    for { 'X-Forwarded-For' => '203.0.113.77' }, { 'X-Real-IP' => '203.0.113.77', Forwarded => 'for=203.0.113.77' }, { 'User-Agent' => 'another' }, { Cookie => "clinicq=$chosen" };
my $twin = start_shim();
my @children;
for my $n (1 .. 40) {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my $reply = eval { HTTP::Tiny->new(timeout => 30)->post_form(($n % 2 ? $url : $twin->{url}) . $login, { username => 'parallel.two', password => "guess number $n" }) };
        POSIX::_exit($reply->{status} == 400 ? 1 : $reply->{status} == 429 ? 0 : 100);
    }
    push @children, $pid;
}
my $tried = 0;
for (@children) { waitpid $_, 0; $tried += $? >> 8 }
is($tried, 5, 'forty guesses at once, at two shims, are five');
is($twin->stop, 0, 'it ends');

# Locking out: a storm over one name from many addresses, and over many names from one.
my $proxied = start_shim(CLINICQ_TRUSTED_PROXIES => '127.0.0.1');
sub from ($address, $who, $password) { return login($who, $password, url => $proxied->{url}, headers => { 'X-Forwarded-For' => $address })->{status} }
my $doctor = new_user('doctor');
is(from('192.0.2.10', $doctor->{username}, $doctor->{password}), 200, 'a doctor logs in at the clinic');
my %storm;
$storm{ from("198.51.100.$_", $doctor->{username}, 'not the right one') }++ for 1 .. 70;
ok($storm{400} >= 50 && $storm{429} >= 10, 'seventy addresses try that name: past fifty they wait') or diag(explain \%storm);
is(from('198.51.100.200', $doctor->{username}, $doctor->{password}), 429, '... as would the right password from elsewhere');
is(from('192.0.2.10', $doctor->{username}, $doctor->{password}), 200, '... but not the doctor where he was before');
is(from('192.0.2.20', "storm.$_", 'not the right one'), 400, "a storm of names from one address: $_") for 1 .. 20;
from('192.0.2.20', $name, 'not the right one') for 1 .. 7;
is(from('192.0.2.20', $user->{username}, $user->{password}), 200, '... others behind that address go on');
is($proxied->stop, 0, 'it ends');
cmp_ok(db("SELECT count(*) FROM clinicq.audit_event WHERE action = 'LOG_IN' AND outcome = 'locked'"), '>', 10, 'the audit log has what had to wait');
forget();
set_setting(log_in_attempts => 100);

done_testing;
