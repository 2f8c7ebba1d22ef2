# Proves sessions over HTTP: refresh tokens rotate and a stolen one ends the session, one's sessions are
# listed with their device and ended one by one or all, a password change and a one-time password work,
# and a session that has ended is refused at once by every shim.
use v5.36;
use FindBin '$Bin';
use lib "$Bin/lib";
use ClinicQ;
use Test::More;

my $user = new_user('doctor');
sub log_in (%options) {
    return call(POST => '/api/auth/login/', headers => { 'User-Agent' => $options{agent} // 'tests' },
        json => { username => $user->{username}, password => $user->{password}, %{ $options{json} // {} } });
}
sub got ($reply, $status, $what) { answers($reply, $status, $what); return $reply->{json} }
sub refresh ($token) { call(POST => '/api/auth/refresh/', json => { refresh => $token }) }
sub me ($token, %options) { call(GET => '/api/auth/me/', token => $token, %options)->{status} }

# Refresh.
my $first = got(log_in(json => { refresh => JSON::PP::true }), 200, 'a log-in that asks for refresh');
is($first->{expires_in}, 900, '... gets an access token of a quarter of an hour');
is($first->{token}, $first->{access}, '... which is token and access');
like($first->{refresh}, qr/^[0-9a-f]{64}$/, '... and a refresh token');
isnt($first->{refresh}, $first->{access}, '... which is another');
is(me($first->{refresh}), 401, 'a refresh token opens no route');
refused(refresh($first->{access}), 401, 'detail', 'an access token refreshes nothing');
my $second = got(refresh($first->{refresh}), 200, 'a refresh');
is(me($second->{access}), 200, '... gives an access token that works');
is(me($first->{access}), 401, '... and ends the one before');
is(refresh($first->{refresh})->{json}{refresh}, $second->{refresh}, 'a reply that was lost is given again');
my $third = refresh($second->{refresh})->{json};
refused(refresh($first->{refresh}), 401, 'detail', 'a used token that comes again after its successor');
is(me($third->{access}), 401, '... ends the session');
refused(refresh($third->{refresh}), 401, 'detail', '... whole');
is(got(log_in(), 200, 'a plain log-in')->{refresh}, undef, '... has no refresh token');
my $other = start_shim();
my $token = log_in()->{json}{token};
is(me($token, url => $other->{url}), 200, 'a session is known to every shim');
answers(call(POST => '/api/auth/logout/', token => $token), 204, 'log-out at one');
is(me($token, url => $other->{url}), 401, '... ends it at the other at once');

# Lists.
answers(call(POST => '/api/auth/logout_all/', token => log_in()->{json}{token}), 204, 'log-out everywhere');
my $phone = log_in(agent => "Phone/1.0")->{json}{token};
my $desk = log_in(agent => 'Desk/' . 'x' x 300)->{json}{token};
my $list = got(call(GET => '/api/auth/sessions/', token => $desk), 200, 'the list of sessions');
is(scalar @$list, 2, '... has those that live');
is(join(' ', sort keys %{ $list->[0] }), 'address created_at current device expires_at id last_used_at', '... with device, address and last use');
is(scalar(grep { $_->{current} } @$list), 1, '... one is the present one');
my ($its) = grep { !$_->{current} } @$list;
is($its->{device}, 'Phone/1.0', '... the device is what it said');
is(length((grep { $_->{current} } @$list)[0]{device}), 200, '... and cut');
refused(call(DELETE => "/api/auth/sessions/$its->{id}/", as => 'assistant'), 404, 'detail', 'nobody else may end it');
answers(call(DELETE => "/api/auth/sessions/$its->{id}/", token => $desk), 204, 'its user may');
is(me($phone), 401, '... at once');
refused(call(GET => "/api/auth/sessions/?user=$user->{username}", as => 'assistant'), 403, 'detail', 'only an admin lists those of others');
is(scalar @{ call(GET => "/api/auth/sessions/?user=$user->{username}", as => 'admin')->{json} }, 1, '... who can');

is(join(' ', map { "$_->[0] $_->[1]" } db_rows("SELECT entity, outcome FROM clinicq.audit_event WHERE action = 'LOG_OUT' AND actor_name = '$user->{username}' ORDER BY id")), 'app_user done app_user everywhere session ended', 'each end of a session is in the audit log');

# Passwords.
sub change (%fields) { call(POST => '/api/auth/password/', token => $desk, json => \%fields) }
refused(change(old_password => 'wrong', password => 'nine copper lanterns 64'), 400, ['old_password'], 'a change needs the old password');
refused(change(old_password => $user->{password}, password => $user->{username} x 2), 400, ['password'], '... and one that is hard to guess');
answers(change(old_password => $user->{password}, password => 'nine copper lanterns 64'), 204, 'a change');
is(me($desk), 401, '... ends the sessions');
$user->{password} = 'nine copper lanterns 64';
answers(log_in(), 200, '... and the new one serves');

# One-time passwords.
my $made = call(POST => '/api/users/', as => 'admin', json => { username => new_name('once') =~ tr/ /./r, roles => ['assistant'] })->{json};
my $once = got(login($made->{username}, $made->{password}), 200, 'a log-in with a generated password');
ok($once->{password_change_required}, '... says that it has to be changed');
refused(call(GET => '/api/patients/', token => $once->{token}), 403, 'detail', '... before anything else');
answers(call(GET => '/api/auth/me/', token => $once->{token}), 200, '... but asking who one is');
answers(call(POST => '/api/auth/password/', token => $once->{token}, json => { old_password => $made->{password}, password => 'five silver bridges 28' }), 204, 'it is changed');
my $now = login($made->{username}, 'five silver bridges 28')->{json};
ok(!exists $now->{password_change_required}, 'after which nothing has to be');
answers(call(GET => '/api/patients/', token => $now->{token}), 200, '... and all is as usual');

# Guessing: five tries of a name from an address, then a wait; nobody else has to.
set_setting(log_in_attempts => 5);
my $guessed = new_user('display');
my @statuses = map { login($guessed->{username}, "guess $_")->{status} } 1 .. 6;
is("@statuses", '400 400 400 400 400 429', 'the sixth guess has to wait');
my $wait = login($guessed->{username}, $guessed->{password});
refused($wait, 429, 'detail', 'so has the right password');
cmp_ok($wait->{headers}{'retry-after'}, '>', 30, '... which says how long');
@statuses = map { login('nobody.at.all.42', "guess $_")->{status} } 1 .. 6;
is("@statuses", '400 400 400 400 400 429', 'a name that does not exist is treated the same');
answers(log_in(), 200, 'others behind the same address go on');
my @children;
for my $n (1 .. 12) {
    my $pid = fork // die;
    if (!$pid) { require POSIX; POSIX::_exit(HTTP::Tiny->new->post_form("$ENV{CLINICQ_URL}/api/auth/login/", { username => 'parallel.42', password => "x$n" })->{status} == 400 ? 1 : 0) }
    push @children, $pid;
}
my $tried = 0;
for (@children) { waitpid $_, 0; $tried += $? >> 8 }
is($tried, 5, 'twelve guesses at once are no more than five');
answers(call(POST => "/api/users/$guessed->{id}/unlock/", as => 'admin'), 204, 'an administrator lifts it');
answers(login($guessed->{username}, $guessed->{password}), 200, '... at once');
set_setting(log_in_attempts => 100);

done_testing;
