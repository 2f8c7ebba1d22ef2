# Proves that /api/openapi.json is an OpenAPI 3.1 description that says all of clinicq.route and no more,
# that each path in it answers, and that a DBA's own route is served and described as well.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $reply = call(GET => '/api/openapi.json');
answers($reply, 200, 'open to everybody');
my $api = $reply->{json};
is($api->{openapi}, '3.1.0', 'OpenAPI 3.1');
ok(length $api->{info}{title} && $api->{info}{version} =~ /^\d+\.\d+\.\d+$/, 'with title and version');
is($api->{info}{version}, db("SELECT extversion FROM pg_extension WHERE extname = 'clinicq'"), '... that of the extension');

my (@described, %operation);
for my $path (sort keys %{ $api->{paths} }) {
    for my $method (sort keys %{ $api->{paths}{$path} }) {
        push @described, uc($method) . " $path";
        my $it = $operation{ uc($method) . " $path" } = $api->{paths}{$path}{$method};
        ok(!grep({ !defined $it->{$_} || !length $it->{$_} } qw(summary description operationId responses security)), uc($method) . " $path has its members");
        my @headers = map { $_->{'$ref'} ? $api->{components}{parameters}{ $_->{'$ref'} =~ s{.*/}{}r } : () } @{ $it->{parameters} // [] };
        my @own = grep { !$_->{'$ref'} } @{ $it->{parameters} // [] };
        ok(!grep({ $_->{in} ne 'header' || $_->{required} || !$_->{schema}{type} || !length $_->{description} } @headers), '... its headers');
        my $headers = join ' ', sort map { $_->{name} } @headers;
        my $one = $path =~ m{^/api/(?:patients/\{registration_number\}|queues/\{id\}|visits/\{id\})/};
        my $streams = $path =~ m{/events$};
        is($headers, $streams ? 'Last-Event-ID' : $method eq 'get' ? 'If-None-Match' : !@{ $it->{security} } ? '' : $one ? 'Idempotency-Key If-Match' : 'Idempotency-Key', "... which are $headers");
        my $answers = join ' ', grep { /^\d+$/ } sort keys %{ $it->{responses} };
        is(join(' ', sort keys %{ $it->{responses}{'2XX'}{content} }), $streams ? 'text/event-stream' : $path =~ /image/ ? 'application/pdf image/*' : 'application/json', '... its type');
        is($answers, $streams ? '' : $method eq 'get' ? '304' : !@{ $it->{security} } ? '' : $one ? '409 412 422' : '409 422', "... with the answers $answers");
        my ($in_path, $others) = map { my $in = $_; [grep { ($_->{in} eq 'path') eq $in } @own] } 1, '';
        is(join(' ', map { $_->{name} } @$in_path), join(' ', $path =~ /\{(\w+)\}/g), '... its path parameters');
        ok(!grep({ !$_->{required} || !$_->{schema}{type} } @$in_path), '... required, with a type');
        ok(!grep({ $_->{in} ne 'query' || $_->{required} && $_->{name} ne 'kind' || !$_->{schema}{type} || !length $_->{description} } @$others), '... others are of the query, with a type and a description');
        ok($it->{responses}{default} && grep({ /^2/ } keys %{ $it->{responses} }), '... success and failure');
    }
}
my @routes = sort { $a->{path} cmp $b->{path} || $a->{method} cmp $b->{method} } ROUTES;
is(join("\n", @described), join("\n", map { "$_->{method} $_->{path}" } @routes), 'every route is there, and no other');
my %ids = map { $_->{operationId} => 1 } values %operation;
is(scalar keys %ids, scalar @described, 'each operation has an id of its own');
for my $route (ROUTES) {
    my $it = $operation{"$route->{method} $route->{path}"};
    my $open = $route->{who}[0] eq 'anyone';
    is(scalar @{ $it->{security} }, $open ? 0 : 1, "$route->{method} $route->{path}: security");
    is(ref $it->{requestBody}, $route->{body} ne 'none' ? 'HASH' : '', '... a body where there is one');
    like($it->{description}, qr/\b$_\b/, "... names $_") for @{ $route->{who} };
}

# References lead somewhere.
my @references = $reply->{content} =~ /"\$ref" ?: ?"([^"]+)"/g;
ok(@references > 0, 'there are references');
my %unique = map { $_ => 1 } @references;
for my $reference (sort keys %unique) {
    my $at = $api;
    $at = ref $at eq 'HASH' ? $at->{$_} : undef for split m{/}, $reference =~ s{^#/}{}r;
    ok(defined $at, "$reference is there");
}
ok($api->{components}{securitySchemes}{$_}, "security scheme $_ is there") for map { keys %$_ } map { @{ $_->{security} } } $operation{'GET /api/queues/'};
for my $status (map { $_->[0] } db_rows('SELECT DISTINCT status FROM clinicq.problem')) {
    like($api->{components}{responses}{problem}{description}, qr/\b$status\b/, "problems name $status");
}

# Every path answers.
my $visit = new_visit(new_queue());
my %id = (queues => $visit->{queue}, visits => $visit->{id}, users => new_user()->{id});
$id{auth} = db('SELECT max(id) FROM clinicq.session');
my $guarded = new_patient()->{registration_number};
call(PATCH => "/api/patients/$guarded/access/", as => 'admin', json => { restricted => JSON::PP::true });
$id{emergency} = call(POST => "/api/patients/$guarded/emergency/", as => 'doctor', json => { reason => 'every path is called' })->{json}{id};
$id{rooms} = call(POST => '/api/rooms/', as => 'admin', json => { name => new_name('Room') })->{json}{id};
$id{webhooks} = call(POST => '/api/webhooks/', as => 'admin', json => { url => 'https://clinic.example/told' })->{json}{id};
$id{deliveries} = db("INSERT INTO clinicq.outbox (channel, purpose) VALUES ('email', 'manual') RETURNING id");
call(POST => "/api/queues/$visit->{queue}/call_next/", as => 'doctor', json => { room => $id{rooms} });
call(POST => '/api/priorities/', as => 'admin', json => { name => 'first', rank => 77 });
call(POST => "/api/patients/$visit->{patient}/access/", as => 'admin', json => { username => 'doctor' });
for my $route (grep { $_->{path} !~ /logout/ } UNSIGNED) {
    my ($family) = $route->{path} =~ m{^/api/(\w+)};
    my $prescription = $family eq 'prescriptions' ? new_prescription($visit->{id}) : {};
    my $path = path_of($route, id => $prescription->{id} // $id{$family}, registration_number => $visit->{patient}, username => 'doctor', name => 'no_shows', rank => $route->{method} eq 'DELETE' ? 77 : 10, code => $visit->{follow});
    ($path) = $prescription->{image_url} =~ m{(/api/.*)} if $path =~ /image/;
    my $answer = call($route->{method} => $path . ($path =~ /search/ ? '?q=x' : ''), as => 'admin', $route->{body} eq 'fields' ? (json => {}) : $route->{body} eq 'file' ? (body => '--x--', type => 'multipart/form-data; boundary=x') : ());
    ok($answer->{status} =~ /^(?:20[014]|400|409)$/ && ($answer->{status} == 204 || defined $answer->{json} || ($answer->{headers}{'content-type'} // '') =~ /ndjson|image/), "$route->{method} $route->{path} answers")
        or diag("$answer->{status} $answer->{content}");
}

# A route of a DBA's own: a function and an INSERT.
db(<<~'SQL');
    CREATE FUNCTION public.clinicq_test_echo(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS
        $$ SELECT 200, json_build_object('path', path, 'query', query), '{"X-Test":"one"}'::json $$;
    COMMENT ON FUNCTION public.clinicq_test_echo(text[], jsonb, text) IS 'Says what it heard. Who: admin.';
    GRANT EXECUTE ON FUNCTION public.clinicq_test_echo(text[], jsonb, text) TO clinicq_owner;
    INSERT INTO clinicq.route (method, path, function, class, body, who, summary)
        VALUES ('GET', '/api/test/{what}/echo/', 'public.clinicq_test_echo', 'read', 'none', '{any}', 'Echo.')
    SQL
ok(wait_for(12, sub { call(GET => '/api/test/x/echo/', as => 'doctor')->{status} == 200 }), 'a route of one\'s own is served within seconds');
my $echo = call(GET => '/api/test/a%2Fb%20c/echo?x=1&y=%22', as => 'doctor');
is_deeply($echo->{json}, { path => ['a/b c'], query => { x => '1', y => '"' } }, '... with path and query, decoded');
is($echo->{headers}{'x-test'}, 'one', '... its headers too');
is(call(GET => '/api/openapi.json')->{json}{paths}{'/api/test/{what}/echo/'}{get}{summary}, 'Echo.', '... and described');
db("DELETE FROM clinicq.route WHERE function = 'public.clinicq_test_echo'; DROP FUNCTION public.clinicq_test_echo(text[], jsonb, text)");
ok(wait_for(12, sub { call(GET => '/api/test/x/echo/', as => 'doctor')->{status} == 404 }), 'taken away, it is 404');
answers(call(GET => '/api/queues/', as => 'doctor'), 200, '... and the others go on');

done_testing;
