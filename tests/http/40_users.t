# Proves the administration of users: who may, names, roles, passwords shown once, disabling, and that
# neither a password nor its hash is ever in a reply, nor in the audit log.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $users = '/api/users/';
sub create ($body, %how) { return call(POST => $users, as => 'admin', json => $body, %how) }
sub change ($user, $body, %how) { return call(PATCH => "$users$user->{id}/", as => 'admin', json => $body, %how) }
sub name () { return new_name('u') =~ tr/ /./r }
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

my $reply = create({ username => my $username = name(), roles => ['doctor', 'assistant', 'doctor'] });
answers($reply, 201, 'an administrator creates a user');
my $user = $reply->{json};
is_deeply([sort @{ $user->{roles} }], [qw(assistant doctor)], '... with roles, each once');
ok(!$user->{disabled}, '... enabled');
like($user->{password}, qr/^[A-Za-z0-9]{20}$/, '... and a password that was generated');
answers(login($username, $user->{password}), 200, '... that logs in');
my $read = call(GET => "$users$user->{id}/", as => 'admin');
ok(!exists $read->{json}{password}, 'it is shown once');
my $given = create({ username => name(), password => 'correct horse battery' });
ok($given->{status} == 201 && !exists $given->{json}{password}, 'a password that was given is not shown');
is_deeply($given->{json}{roles}, [], '... roles may be left out');
answers(login($given->{json}{username}, 'correct horse battery'), 200, '... it logs in');
for my $password ('Zq7mWv3Kt9Rb', join('', map { chr(33 + ($_ * 37) % 90) } 1 .. 128), '密码' x 6, '  twelve chars  ', "emoji 😀 and \"quotes'", 'tab	inside it') {
    my $made = create({ username => name(), password => $password });
    is(login($made->{json}{username} // '', $password)->{status}, 200, 'the password ' . substr $password, 0, 16);
    is(login($made->{json}{username} // '', "$password ")->{status}, 400, '... exactly');
}
for my $odd ('a', 'A.b-c_d+e@clinic.example' . name(), 'u' x (150 - length(name())) . name()) {
    my $short = substr $odd, 0, 150;
    like(create({ username => $short })->{status}, qr/^(?:201|409)$/, 'the name ' . substr $short, 0, 30);
}

# The list.
$reply = call(GET => $users, as => 'admin');
is(ref $reply->{json}, 'ARRAY', 'the list is a bare array');
is(scalar @{ $reply->{json} }, db('SELECT count(*) FROM clinicq.app_user'), '... of all users');
is(join(' ', map { $_->{username} } @{ $reply->{json} }), join(' ', map { $_->[0] } db_rows('SELECT username FROM clinicq.app_user ORDER BY username')), '... by name');
unlike($reply->{content}, qr/argon2|password|hash|token/, '... without anything secret');
unlike(db('SELECT string_agg(changes::text, \' \') FROM clinicq.audit_event WHERE entity = \'app_user\''), qr/argon2|correct horse/, 'nor is there any in the audit log');
like(db('SELECT min(left(password_hash, 12)) FROM clinicq.app_user'), qr/^\$argon2id\$v/, 'hashes are of argon2id');

# Bad fields.
my $before = snapshot();
refused(create({}), 400, ['username'], 'no name');
refused(create({ username => $_ }), 400, ['username'], 'the name ' . (ref || !defined ? json($_) : "'$_'"))
    for '', ' ', 'two words', " $username", 'Zoë', 'a/b', "a'b", 'x' x 151, undef, [], {}, $true, "a\tb", '😀', '<a>';
refused(create({ username => name(), password => $_ }), 400, ['password'], 'the password ' . (ref ? json($_) : "'" . substr($_, 0, 12) . "'"))
    for '', 'x' x 11, 'x' x 129, '密' x 11, '密' x 129, [], {}, $true, 12345678901;
refused(create({ username => name(), roles => $_ }), 400, ['roles'], 'roles ' . json($_))
    for 'doctor', ['Doctor'], ['nurse'], [1], [undef], [['doctor']], { doctor => 1 }, undef, 5, $true, ['doctor', ''], ['owner'];
refused(create({ username => '', password => 'x', roles => 'x' }), 400, [qw(username password roles)], 'all wrong: all named');
refused(create({ username => $username }), 409, 'detail', 'a name in use');
refused(change($user, { roles => ['king'] }), 400, ['roles'], 'a change to no role');
refused(change($user, { disabled => $_ }), 400, ['disabled'], 'disabled: ' . json($_)) for 'true', 1, undef, [], {};
refused(call(POST => "$users$user->{id}/password/", as => 'admin', json => { password => $_ }), 400, ['password'], 'a new password ' . json($_)) for 'short', undef, [], '';
refused(call(POST => "$users$user->{id}/password/", as => 'admin', json => {}), 400, ['password'], 'no new password');
refused(call(POST => "${users}999999999/password/", as => 'admin', json => { password => 'long enough it is' }), 404, 'detail', 'a password for nobody');
refused(change({ id => 999_999_999 }, { roles => [] }), 404, 'detail', 'a change of nobody');
unchanged($before, 'all that was refused');

# Changes.
is_deeply(change($user, { roles => ['display'] })->{json}{roles}, ['display'], 'other roles');
is_deeply(change($user, {})->{json}{roles}, ['display'], 'nothing to change');
is_deeply(change($user, { roles => [] })->{json}{roles}, [], 'no role');
ok(change($user, { disabled => $true })->{json}{disabled}, 'disabled');
ok(!change($user, { disabled => $false, roles => ['doctor'] })->{json}{disabled}, 'enabled, and with a role again');
is(change($user, { username => 'another', password => 'another one too' })->{json}{username}, $username, 'a name does not change');
answers(login($username, $user->{password}), 200, '... nor a password by this way');
answers(call(POST => "$users$user->{id}/password/", as => 'admin', json => { password => 'a wholly new one' }), 204, 'a new password');
answers(login($username, $user->{password}), 400, '... the old one is no more');
answers(login($username, 'a wholly new one'), 200, '... the new one is');
answers(login(uc $username, 'a wholly new one'), 400, 'names know capitals');

# Only administrators.
for my $role (qw(doctor assistant display)) {
    refused(call(GET => $users, as => $role), 403, 'detail', "$role reads no users");
    refused(call(GET => "$users$user->{id}/", as => $role), 403, 'detail', "$role reads no user");
    refused(create({ username => name(), roles => ['admin'] }, as => $role), 403, 'detail', "$role creates none");
    refused(change($user, { roles => ['admin'] }, as => $role), 403, 'detail', "$role changes none");
    refused(call(POST => "$users$user->{id}/password/", as => $role, json => { password => 'x' x 12 }), 403, 'detail', "$role sets no password");
}
answers(call(DELETE => "$users$user->{id}/", as => 'admin'), 405, 'nobody is deleted');

done_testing;
