# Proves over HTTP, for every route of clinicq.route and every role, that exactly those of its column who are
# let in: others get 403 before anything is looked at, nobody without a token gets further than 401, who
# must first change a password or set up a second factor reaches nothing else, and no claim in a request
# gives more.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my @roles = qw(admin doctor assistant display auditor reporter);
my %token = map { $_ => new_user($_)->{token} } @roles;
$token{'no role'} = new_user()->{token};
$token{'doctor and display'} = new_user('doctor', 'display')->{token};
my %has = ((map { $_ => [$_] } @roles), 'no role' => [], 'doctor and display' => [qw(doctor display)]);

sub ask ($route, $token, %how) {
    my $path = path_of($route, id => 999_999_999, registration_number => '98-98-998');
    return call($route->{method} => $path, (defined $token ? (token => $token) : ()), ($route->{body} eq 'fields' ? (json => {}) : $route->{body} eq 'file' ? (body => '--x--', type => 'multipart/form-data; boundary=x') : ()), %how);
}
sub may ($route, $who) {
    my %let = map { $_ => 1 } @{ $route->{who} }, 'any';
    return $route->{who}[0] =~ /^any/ || grep { $let{$_} } @{ $has{$who} };
}

my @ends = grep { $_->{path} =~ /logout/ } ROUTES;
my @routes = grep { $_->{path} !~ /logout/ } UNSIGNED;
my $before = snapshot();
for my $route (@routes, @ends) {
    my @wrong;
    for my $who (sort keys %token) {
        my $reply = ask($route, $token{$who});
        my $good = may($route, $who) ? $reply->{status} =~ /^(?:2\d\d|400|404|409)$/ : !defined faults_in($reply, 403, 'detail');
        push @wrong, "$who: $reply->{status} $reply->{content}" unless $good || $route->{path} =~ /logout/ && $reply->{status} == 401;
    }
    ok(!@wrong, "$route->{method} $route->{path}: " . join(', ', @{ $route->{who} }) . ' and nobody else') or diag(join "\n", @wrong);
    next if $route->{who}[0] eq 'anyone';
    for my $none (undef, 'f' x 64, substr($token{admin}, 0, 63) . 'x') {
        my $why = faults_in(ask($route, $none), 401, 'detail');
        ok(!defined $why, '... 401 without a session') or diag($why);
    }
}
is((split / users /, snapshot())[1] =~ s/ .*//r, (split / users /, $before)[1] =~ s/ .*//r, 'no user was changed by all this');

# Who has something to do first reaches nothing else, whatever the roles.
sub only_what_is_due ($what, $token) {
    for my $route (grep { $_->{path} !~ /logout/ } ROUTES) {
        my $reply = ask($route, $token);
        my $open = $route->{who}[0] =~ /^any/;
        ok($open ? $reply->{status} != 401 : $reply->{status} == 403, "$what: $route->{method} $route->{path}" . ($open ? '' : ' is refused')) or diag("$reply->{status} $reply->{content}");
    }
    return;
}
my $made = call(POST => '/api/users/', as => 'admin', json => { username => new_name('once') =~ tr/ /./r, roles => ['admin'] })->{json};
only_what_is_due('a one-time password', login($made->{username}, $made->{password})->{json}{token});
my $bound = new_user('auditor', 'doctor');
set_setting(totp_roles => 'auditor');
only_what_is_due('a second factor is missing', $bound->{token});
set_setting(totp_roles => '');

# What a request claims of itself does not count.
my $low = new_user('display');
my %claim = (roles => ['admin'], role => 'admin', is_admin => JSON::PP::true, is_superuser => JSON::PP::true, user_id => 1, actor => 'admin', id => 1);
my $reply = call(POST => '/api/auth/login/', json => { %claim, username => $low->{username}, password => $low->{password} });
is_deeply($reply->{json}{user}{roles}, ['display'], 'roles in a log-in are nothing');
my %headers = ('X-User-Id' => 1, 'X-User' => 'admin', 'X-Remote-User' => 'admin', 'Remote-User' => 'admin', 'X-Forwarded-User' => 'admin', 'X-Roles' => 'admin', 'X-Original-URL' => '/api/health/', 'X-Rewrite-URL' => '/api/health/');
refused(call(GET => '/api/users/', token => $low->{token}, headers => \%headers), 403, 'detail', '... nor are headers');
refused(call(GET => '/api/users/', headers => { %headers, 'X-Forwarded-For' => '127.0.0.1' }), 401, 'detail', '... without a token neither');
refused(call(GET => '/api/users/?token=' . token('admin') . '&access_token=' . token('admin') . '&role=admin', token => $low->{token}), 403, 'detail', '... nor is the query');
refused(call(GET => '/api/users/?token=' . token('admin')), 401, 'detail', '... which holds no token');
refused(call(POST => '/api/queues/', json => { name => 'planted', token => token('admin') }), 401, 'detail', '... nor does the body');

# What a record has of its own is not taken from a body.
my $patient = new_patient();
my %own = (id => 1, registration_number => '01-00-001', version => 99, created_at => '2000-01-01T00:00:00Z', updated_at => '2000-01-01T00:00:00Z', removed_at => '2000-01-01T00:00:00Z', created_by => 1);
my $changed = call(PATCH => "/api/patients/$patient->{registration_number}/", as => 'assistant', json => { %own, phone => '0300 555' })->{json};
is("$changed->{registration_number} $changed->{created_at} $changed->{phone}", "$patient->{registration_number} $patient->{created_at} 0300 555", 'a patient keeps number and times');
my $visit = call(POST => '/api/visits/', as => 'assistant', json => { patient => $patient->{registration_number}, queue => new_queue(), token_number => 777, status => 'DONE', id => 1, visit_date => '2000-01-01' })->{json};
is("$visit->{token_number} $visit->{status}", '1 WAITING', 'a visit its token and state');
my $mine = call(POST => '/api/auth/password/', token => $low->{token}, json => { username => 'admin', user_id => 1, old_password => $low->{password}, password => 'nine copper lanterns 64' });
is("$mine->{status} " . login('admin', 'nine copper lanterns 64')->{status}, '204 400', 'a password is changed for oneself');
refused(call(PATCH => "/api/users/$low->{id}/", token => $low->{token} = login($low->{username}, 'nine copper lanterns 64')->{json}{token}, json => { roles => ['admin'] }), 403, 'detail', 'nobody gives themselves a role');

done_testing;
