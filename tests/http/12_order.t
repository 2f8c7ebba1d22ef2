# Proves section 1.3, the order of checks (address, token, role, method, record, body), and section 2's
# table of who may do what, for every route and role.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue();
my %broken = (body => '{"broken', type => 'application/json');
my @bodies = ([malformed => %broken], ['of a wrong type' => body => 'x', type => 'text/plain'],
    ['in no encoding' => body => "{\"name\":\"\xFF\"}", type => 'application/json'], ['that is a list' => json => [1]]);

# Who may: asked with bodies and records that cannot succeed, the roles of the route pass the role check.
my %tokens = (map({ $_ => token($_) } qw(admin doctor assistant display)), none => new_user()->{token}, auditor => new_user('auditor')->{token});
my $before = snapshot();
for my $route (grep { $_->{path} !~ /logout/ } UNSIGNED) {
    my $path = path_of($route, id => '9223372036854775807', registration_number => '99-99-998');
    my %may = map { $_ => 1 } $route->{who}[0] =~ /^any/ ? keys %tokens : @{ $route->{who} };
    for my $role (sort keys %tokens) {
        my $reply = call($route->{method} => $path, token => $tokens{$role}, $route->{method} eq 'GET' ? () : %broken);
        my $wanted = $may{$role} ? 'passes' : 'is 403';
        my $good = $may{$role} ? $reply->{status} !~ /^(?:401|403|5)/ : !defined faults_in($reply, 403, 'detail');
        ok($good, "$role $wanted: $route->{method} $route->{path}") or diag("$reply->{status} $reply->{content}");
    }
    next if $may{display} || $route->{method} eq 'GET';
    for my $body (@bodies) {
        my ($what, @how) = @$body;
        answers(call($route->{method} => $path, token => $tokens{none}, @how), 403, "... 403 before a body $what");
    }
}
unchanged($before, 'refusals');
like(call(DELETE => '/api/patients/01-00-001/', as => 'assistant')->{json}{detail}, qr/admin.*doctor|doctor.*admin/, 'the refusal names the roles that would do');

# The rows of 1.3.
refused(call(GET => '/api/nothing/', %broken), 404, 'detail', 'an unknown address before the token');
refused(call(DELETE => '/api/visits/1/'), 401, 'detail', 'anonymous and a wrong method: 401');
refused(call(PUT => '/api/visits/1/', token => $tokens{none}), 405, 'detail', 'a wrong method of a path whose methods need a role: 405');
refused(call(PATCH => '/api/users/', token => $tokens{display}, %broken), 405, 'detail', '... for display too');
refused(call(POST => '/api/patients/', token => $tokens{display}, %broken), 403, 'detail', 'a wrong role and malformed JSON: 403');
refused(call(POST => '/api/visits/', as => 'doctor', %broken), 403, 'detail', '... for visits by a doctor');
refused(call(POST => '/api/visits/', as => 'assistant', %broken), 400, 'detail', 'with the role it is the body: 400');
refused(call(DELETE => '/api/patients/99-99-998/', as => 'assistant'), 403, 'detail', 'an assistant deletes a missing patient: 403');
refused(call(DELETE => '/api/patients/99-99-998/', as => 'doctor'), 404, 'detail', 'a doctor: 404');
my $reply = call(PATCH => '/api/patients/99-99-998/', as => 'assistant', %broken);
ok($reply->{status} == 404 || $reply->{status} == 400, 'an unknown number and malformed JSON: 404 or 400');
refused(call(PATCH => '/api/patients/99-99-998/', as => 'assistant', json => { name => 'x' }), 404, 'detail', 'an unknown number alone: 404');

# Of an action: role, then record, then state.
my $visit = new_visit($queue);
refused(move(9_000_000_000, 'done', as => 'assistant'), 403, 'detail', 'an action: role first');
refused(move(9_000_000_000, 'done'), 404, 'detail', '... then the record');
refused(move($visit, 'done'), 409, 'detail', '... then the state');
for my $path ('start', 'cancel', 'recall') {
    for my $method (qw(GET POST PUT DELETE)) {
        for my $role (qw(display assistant doctor)) {
            my $refusal = call($method => "/api/visits/$visit->{id}/$path/", as => $role);
            is("$refusal->{status} " . join(', ', sort split /, /, $refusal->{headers}{allow} // ''), '405 OPTIONS, PATCH', "$method $path by $role is 405, Allow: PATCH, OPTIONS");
        }
    }
}
for my $method (qw(PUT DELETE)) {
    $reply = call($method => "/api/visits/$visit->{id}/", as => $_, json => { patient => $visit->{patient}, queue => $queue }),
        refused($reply, 405, 'detail', "$method of a visit by $_ is 405") for qw(admin doctor assistant display);
    is(join(', ', sort split /, /, $reply->{headers}{allow}), 'GET, HEAD, OPTIONS, PATCH', '... with Allow');
}
is_deeply(call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json}, $visit, 'the visit is as it was');

# A body too large is refused before it is read, whoever sends it.
answers(call(POST => '/api/patients/', as => 'assistant', body => '{"name":"' . 'x' x 70_000 . '"}'), 413, 'a body over the limit: 413');

done_testing;
