# Proves section 1.5: each kind of error has exactly its shape as application/json, and the members of
# RFC 9457 as application/problem+json where the request's Accept names it.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue();
my $visit = new_visit($queue);
my $other = new_visit($queue);
my $list = '/api/patients/';

# what, status, keys, type, request
my @errors = (
    ['no token', 401, 'detail', 'unauthenticated', GET => '/api/queues/'],
    ['no role', 403, 'detail', 'forbidden', GET => '/api/users/', as => 'doctor'],
    ['an unknown address', 404, 'detail', 'not-found', GET => '/api/none/', as => 'doctor'],
    ['an unknown patient', 404, 'detail', 'not-found', GET => '/api/patients/99-99-998/', as => 'doctor'],
    ['an unknown visit', 404, 'detail', 'not-found', GET => '/api/visits/999999999/', as => 'doctor'],
    ['an unknown queue', 404, 'detail', 'not-found', GET => '/api/queues/999999999/', as => 'doctor'],
    ['an unknown user', 404, 'detail', 'not-found', GET => '/api/users/999999999/', as => 'admin'],
    ['a wrong method', 405, 'detail', 'method-not-allowed', PUT => "/api/visits/$visit->{id}/", as => 'doctor'],
    ['a wrong method where all is open', 405, 'detail', 'method-not-allowed', GET => '/api/auth/login/'],
    ['a type of body', 415, 'detail', 'unsupported-media-type', POST => $list, as => 'assistant', body => 'x', type => 'text/plain'],
    ['malformed JSON', 400, 'detail', 'malformed-body', POST => $list, as => 'assistant', body => '{'],
    ['bad UTF-8', 400, 'detail', 'bad-request', POST => $list, as => 'assistant', body => "\xFF"],
    ['no such page', 404, 'detail', 'not-found', GET => "$list?page=0", as => 'assistant'],
    ['a wrong move', 409, 'detail', 'conflict', PATCH => "/api/visits/$visit->{id}/done/", as => 'doctor'],
    ['a patient in the queue', 409, 'detail', 'conflict', DELETE => "$list$visit->{patient}/", as => 'doctor'],
    ['a queue in use', 409, 'detail', 'conflict', DELETE => "/api/queues/$queue/", as => 'admin'],
    ['bad fields', 400, [qw(name gender category)], 'invalid-fields', POST => $list, as => 'assistant', json => { name => '', gender => 'male', category => 1 }],
    ['a bad parameter', 400, ['queue'], 'invalid-fields', GET => '/api/visits/?queue=eye', as => 'doctor'],
    ['a body that is no object', 400, ['non_field_errors'], 'invalid-fields', POST => $list, as => 'assistant', json => []],
    ['credentials', 400, ['non_field_errors'], 'refused', POST => '/api/auth/login/', json => { username => 'x', password => 'y' }],
    ['too many numbers', 400, 'registration_numbers', 'bad-request', GET => "$list?registration_numbers=" . ',' x 50, as => 'doctor'],
    ['a number too long', 400, 'registration_numbers', 'bad-request', GET => "$list?registration_numbers=12345678901", as => 'doctor'],
    ['search without q', 400, 'error', 'bad-request', GET => "${list}search/", as => 'doctor'],
    ['a query in no encoding', 400, 'detail', 'malformed-query', GET => "$list?q=%FF", as => 'doctor'],
    ['too large a body', 413, 'detail', 'too-large', POST => $list, as => 'assistant', body => 'x' x 70_000],
);
my $before = snapshot();
for my $error (@errors) {
    my ($what, $status, $keys, $type, $method, $path, %how) = @$error;
    refused(call($method => $path, %how), $status, $keys, "$what: $status " . (ref $keys ? join ' ', @$keys : $keys));

    for my $accept ('application/problem+json', 'application/json, application/problem+json;q=0.9') {
        my $reply = call($method => $path, %how, accept => $accept);
        my $problem = $reply->{json} // {};
        is($reply->{headers}{'content-type'}, 'application/problem+json', "... as a problem ($accept)");
        is($problem->{status}, $status, '... its status') && is($reply->{status}, $status, '... the same as of the reply');
        is($problem->{type}, "/problems/$type", '... its type');
        ok(length $problem->{title} && length $problem->{detail}, '... a title and a detail');
        is($problem->{instance}, "/requests/$reply->{headers}{'x-request-id'}", '... the request as instance');
        my $errors = ref $keys || $keys ne 'detail';
        is(join(' ', sort keys %$problem), join(' ', sort qw(detail instance status title type), $errors ? 'errors' : ()), '... and no other member');
        is(join(' ', sort keys %{ $problem->{errors} }), join(' ', sort ref $keys ? @$keys : $keys), '... errors by name') if $errors;
        like($reply->{headers}{vary}, qr/\bAccept\b/, '... Vary: Accept');
    }
}
unchanged($before, 'all of them');
is(call(GET => '/api/queues/', as => 'doctor', accept => 'application/problem+json')->{headers}{'content-type'}, 'application/json', 'a success is no problem');

# A DBA's function that names types of its own: one is sent, and a problem stays one.
db($_) for <<~'SQL', q{INSERT INTO clinicq.route (method, path, function, class, who, summary) VALUES ('GET', '/api/test-typed/', 'clinicq_api.test_typed', 'read', '{anyone}', 'Typed.')};
    CREATE FUNCTION clinicq_api.test_typed(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql SET search_path = pg_catalog, pg_temp
        AS $$ SELECT (query->>'status')::int, '{"a": ["b"]}'::json, '{"Content-Type": "text/x-own", "content-type": "text/x-other"}'::json $$;
    REVOKE ALL ON FUNCTION clinicq_api.test_typed FROM PUBLIC; ALTER FUNCTION clinicq_api.test_typed OWNER TO clinicq_owner
    SQL
ok(wait_for(10, sub { call(GET => '/api/test-typed/?status=200')->{status} == 200 }), 'a route of a DBA');
for my $case ([200, 'application/json', 'text/x-own'], [409, 'application/json', 'text/x-own'], [200, 'application/problem+json', 'text/x-own'], [409, 'application/problem+json', 'application/problem+json']) {
    my ($status, $accept, $type) = @$case;
    my $reply = call(GET => "/api/test-typed/?status=$status", accept => $accept);
    is($reply->{status}, $status, "its $status, to who accepts $accept");
    is_deeply($reply->{headers}{'content-type'}, $type, '... has one type');
}
db($_) for q{DELETE FROM clinicq.route WHERE path = '/api/test-typed/'}, 'DROP FUNCTION clinicq_api.test_typed';
is(call(GET => '/api/none/', accept => '*/*')->{headers}{'content-type'}, 'application/json', 'Accept: */* does not name it');
is(call(HEAD => '/api/none/')->{status}, 404, 'HEAD of nothing is 404');

# All bad fields at once, in the order in which they are declared; one text for each.
my $reply = call(POST => $list, as => 'assistant', json => { category => 'x', gender => 'x', phone => 'x' x 21 });
is(join(' ', $reply->{content} =~ /"(\w+)":\[/g), 'name phone gender category', 'all bad fields, in declared order');
is(join(' ', map { scalar @$_ } values %{ $reply->{json} }), '1 1 1 1', 'one text each');
my %texts;
for my $case ([null => { name => undef }], [absent => {}], [blank => { name => '' }], [type => { name => [] }], ['too long' => { name => 'x' x 256 }]) {
    my ($what, $body) = @$case;
    $reply = call(POST => $list, as => 'assistant', json => $body);
    $texts{ $reply->{json}{name}[0] // $what } = $what;
}
is(scalar keys %texts, 5, 'null, absent, blank, wrong type and too long have texts of their own');

# A conflict names what is.
$reply = move($visit, 'done');
like($reply->{json}{detail}, qr/WAITING.*IN_ROOM/, 'a wrong move names the state that is and those it needs');
like(call(DELETE => "$list$visit->{patient}/", as => 'doctor')->{json}{detail}, qr/open visit/, 'a refused removal says why');
my $conflict = call(POST => '/api/users/', as => 'admin', json => { username => 'doctor' });
refused($conflict, 409, 'detail', 'a name in use is a conflict');
unlike($conflict->{content}, qr/constraint|app_user|key/, '... that shows nothing of the tables');

# A refusal about one patient shows nothing of another.
unlike(call(GET => '/api/patients/99-99-998/', as => 'doctor')->{content}, qr/$visit->{patient}|$other->{patient}/, 'no number of another patient');

done_testing;
