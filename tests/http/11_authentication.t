# Proves sections 1.2, 2.1 and 2.2 with the decisions of section 0: what counts as a token, what 401
# says, where a stale one is ignored, log-in, log-out, me, how long a session lasts and what ends it.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $doctor = token('doctor');
sub me ($authorization, %headers) {
    return call(GET => '/api/auth/me/', headers => { (defined $authorization ? (Authorization => $authorization) : ()), %headers });
}

# What opens the door.
for my $form ("Token $doctor", "Bearer $doctor", "token $doctor", "TOKEN $doctor", "bearer $doctor", "bEaReR $doctor") {
    answers(me($form), 200, 'Authorization: ' . substr($form, 0, 12) . '...');
}
is_deeply(me("Token $doctor")->{json}, { username => 'doctor', roles => ['doctor'] }, 'me: username and roles, no more');
is_deeply(call(GET => '/api/auth/me/', as => $_)->{json}{roles}, [$_], "me of $_") for qw(admin assistant display);

# What does not: 401, a detail, WWW-Authenticate: Token.
my $unknown = 'f' x 64;
my %wrong = (
    'no header' => undef, 'an empty one' => '', 'the scheme alone' => 'Token', 'the scheme and a blank' => 'Token ',
    'an unknown token' => "Token $unknown", 'an unknown one as Bearer' => "Bearer $unknown", 'two blanks' => "Token  $doctor",
    'a blank inside' => 'Token ' . substr($doctor, 0, 30) . ' ' . substr($doctor, 30), 'more words' => "Token $doctor x",
    'no blank' => "Token$doctor", 'another scheme' => 'Basic ZG9jdG9yOnBhc3N3b3Jk', 'the token alone' => $doctor,
    'capitals' => 'Token ' . uc $doctor, 'a short one' => 'Token ' . substr($doctor, 1), 'a long one' => "Token ${doctor}0",
    'a very long one' => 'Token ' . 'a' x 2000, 'a tab' => "Token\t$doctor", 'Digest' => "Digest $doctor",
    'SQL' => "Token ' OR 1=1 --",
    'a comma list' => "Token $unknown, Token $doctor",
);
for my $what (sort keys %wrong) {
    my $reply = me($wrong{$what});
    refused($reply, 401, 'detail', "$what is 401");
    is($reply->{headers}{'www-authenticate'}, 'Token', '... with WWW-Authenticate: Token');
}
is(wire("GET /api/auth/me/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $_\r\n\r\n")->{status}, 401, 'bytes beyond ASCII are 401')
    for "\xC3\xA9" x 8, "\xFF\xFE", substr($doctor, 0, 63) . "\xA0";
unlike(me("Token $unknown")->{content}, qr/\Q$unknown\E/, 'the refusal does not repeat the token');
is(wire("GET /api/auth/me/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $doctor\r\nAuthorization: Token $unknown\r\n\r\n")->{status},
    400, 'two Authorization headers are refused');
answers(me(undef, Cookie => "sessionid=$doctor", 'X-CSRFToken' => $doctor), 401, 'a cookie is no credential');
answers(me("Token $doctor", Cookie => 'sessionid=1; csrftoken=2'), 200, 'and does no harm');

# Every route but the open ones asks for a token, before anything else.
for my $route (ROUTES) {
    my $open = grep { $_ eq 'anyone' } @{ $route->{who} };
    my $reply = call($route->{method} => path_of($route, id => 1, registration_number => '01-00-001'), body => '{bad', type => 'application/json');
    if ($open) { isnt($reply->{status}, 401, "$route->{method} $route->{path} is open") }
    else { refused($reply, 401, 'detail', "$route->{method} $route->{path} needs a token") }
}

# A stale header does not stop log-in and health.
my ($username, $password) = split /:/, $ENV{CLINICQ_ASSISTANT};
for my $stale ("Token $unknown", 'Bearer x', 'Basic eA==', 'nonsense', 'Token ') {
    answers(login($username, $password, headers => { Authorization => $stale }), 200, "log-in ignores Authorization: " . substr $stale, 0, 12);
    answers(call(GET => '/api/health/', headers => { Authorization => $stale }), 200, '... and health');
}

# Log-in.
my $reply = login($username, $password);
is(join(' ', sort keys %{ $reply->{json} }), 'access expires_in refresh token user', 'log-in answers token, access, refresh, expires_in, user');
like($reply->{json}{token}, qr/^[0-9a-f]{64}$/, 'a token of 256 bits');
is($reply->{json}{access}, $reply->{json}{token}, 'access is the token');
is($reply->{json}{expires_in}, 12 * 3600, 'for twelve hours');
is_deeply($reply->{json}{user}, { username => 'assistant', roles => ['assistant'] }, 'of this user');
is(login(split /:/, $ENV{CLINICQ_DISPLAY})->{json}{expires_in}, 30 * 86400, 'a display stays for thirty days');
isnt(login($username, $password)->{json}{token}, $reply->{json}{token}, 'each log-in has a token of its own');
answers(me("Token $reply->{json}{token}"), 200, '... and the earlier one still works');
is(db("SELECT count(*) FROM clinicq.session WHERE encode(token_hash, 'hex') = '$reply->{json}{token}'"), 0, 'the token is not what is stored');
answers(login("  $username\t", $password), 200, 'the username is trimmed');
my $login = '/api/auth/login/';
answers(call(POST => $login, body => "username=$username&password=$password", type => 'application/x-www-form-urlencoded'), 200, 'as a form');
is(call(GET => $login)->{status}, 405, 'GET is 405, also without a token');

my %refused = (
    'a wrong password' => [$username, "${password}x"], 'an unknown user' => ['nobody.at.all', $password],
    'the name in capitals' => [uc $username, $password], 'blanks round the password' => [$username, " $password "],
    'a very long password' => [$username, 'x' x 5000], 'SQL as the name' => ["' OR 1=1 --", $password],
    'SQL as the password' => [$username, "' OR '1'='1"], 'another script' => ['ассистент', 'пароль' x 3],
);
for my $what (sort keys %refused) {
    refused(login(@{ $refused{$what} }), 400, ['non_field_errors'], "$what: 400 with non_field_errors");
}
refused(call(POST => $login, json => {}), 400, [qw(username password)], 'both missing: both named');
refused(call(POST => $login, json => { username => '', password => '' }), 400, [qw(username password)], 'both empty');
refused(call(POST => $login, json => { username => undef, password => undef }), 400, [qw(username password)], 'both null');
refused(call(POST => $login, json => { username => '   ', password => $password }), 400, ['username'], 'a blank username');
refused(call(POST => $login, json => { username => $username }), 400, ['password'], 'no password');
refused(call(POST => $login, json => { username => [1], password => {} }), 400, [qw(username password)], 'wrong types');
refused(call(POST => $login), 400, [qw(username password)], 'no body at all');

# Log-out ends this session and no other.
my ($one, $two) = map { login($username, $password)->{json}{token} } 1, 2;
$reply = call(POST => '/api/auth/logout/', token => $one);
answers($reply, 204, 'log-out');
is($reply->{content} // '', '', '... with nothing in it');
answers(me("Token $one"), 401, '... ends the session');
answers(call(POST => '/api/auth/logout/', token => $one), 401, '... once');
answers(me("Token $two"), 200, '... and no other');

# A session slides with use, and what ends it: time, a role, a password, being shut out.
sub minutes_left ($token) {
    return db("SELECT round(extract(epoch FROM expires_at - now()) / 60) FROM clinicq.session WHERE token_hash = sha256('$token')");
}
my $user = new_user('assistant');
db("UPDATE clinicq.session SET expires_at = now() + interval '5 minutes', last_used_at = now() - interval '11 hours' WHERE token_hash = sha256('$user->{token}')");
answers(me("Token $user->{token}"), 200, 'a session that is used');
is(minutes_left($user->{token}), 720, '... slides to twelve hours');
db("UPDATE clinicq.session SET expires_at = now() - interval '1 second' WHERE token_hash = sha256('$user->{token}')");
answers(me("Token $user->{token}"), 401, 'one that has run out is 401');
sub fresh { return $user->{token} = login($user->{username}, $user->{password})->{json}{token} }
my %ends = (
    'other roles' => sub { call(PATCH => "/api/users/$user->{id}/", as => 'admin', json => { roles => ['doctor'] }) },
    'a new password' => sub { $user->{password} = 'seven brass kettles 31'; call(POST => "/api/users/$user->{id}/password/", as => 'admin', json => { password => $user->{password} }) },
    'being disabled' => sub { call(PATCH => "/api/users/$user->{id}/", as => 'admin', json => { disabled => JSON::PP::true }) },
);
for my $what ('other roles', 'a new password', 'being disabled') {
    fresh();
    answers(me("Token $user->{token}"), 200, "before $what");
    like($ends{$what}->()->{status}, qr/^20[04]$/, $what);
    answers(me("Token $user->{token}"), 401, "... ends the session");
}
refused(login($user->{username}, $user->{password}), 400, ['non_field_errors'], 'a disabled user cannot log in, as with a wrong password');
is(login($user->{username}, $user->{password})->{content}, login('nobody.at.all', 'x')->{content}, '... in the same words as an unknown one');
call(PATCH => "/api/users/$user->{id}/", as => 'admin', json => { disabled => JSON::PP::false });
answers(login($user->{username}, $user->{password}), 200, 'enabled again, the user can');

# A user without a role is somebody, with no rights.
my $none = new_user();
is_deeply(call(GET => '/api/auth/me/', token => $none->{token})->{json}{roles}, [], 'no role: me has an empty list');
answers(call(GET => '/api/queues/', token => $none->{token}), 200, '... queues may be read');
refused(call(GET => '/api/visits/', token => $none->{token}), 403, 'detail', '... visits may not');
ok(!defined call(GET => '/api/visits/', token => $none->{token})->{headers}{'www-authenticate'}, '403 has no WWW-Authenticate');

done_testing;
