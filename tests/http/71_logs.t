# Proves what the log holds: one line of JSON for each request, with request id, method, route, status,
# duration and actor; and what it never holds: names, phones, tokens, passwords, paths and queries. The
# log of this suite is searched for all that the suite has sent. Request ids are taken over or made.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

sub line_of ($id) {
    my $line;
    wait_for(5, sub { ($line) = grep { index($_, "\"request_id\":\"$id\"") >= 0 } log_lines(); defined $line });
    return eval { JSON::PP::decode_json($line // '') };
}
my %id = (admin => 'admin', doctor => 'doctor');
$id{$_} = db("SELECT id FROM clinicq.app_user WHERE username = '$_'") for qw(admin doctor assistant);
my $visit = new_visit(new_queue(), new_patient(phone => '0799 123 456')->{registration_number});
my $user = new_user('doctor');
answers(call(GET => '/api/patients/search/?q=0799+123+456', token => $user->{token}), 200, 'somebody searches for a phone');
my $serial = 0;
sub tagged ($method, $path, %how) {
    my $id = "log-$$-" . ++$serial;
    my $reply = call($method => $path, %how, headers => { %{ $how{headers} // {} }, 'X-Request-Id' => $id });
    is($reply->{headers}{'x-request-id'}, $id, "$method $path: the reply has the request's id");
    return ($reply, line_of($id));
}

my @cases = (
    [GET => "/api/patients/$visit->{patient}/", '/api/patients/{registration_number}/', 200, 'doctor'], [PATCH => "/api/visits/$visit->{id}/start", '/api/visits/{id}/start/', 200, 'doctor'],
    [GET => '/api/patients/search/?q=Secret+Name', '/api/patients/search/', 200, 'assistant'], [GET => '/api/health/', '/api/health/', 200, undef], [GET => '/api/users/', '/api/users/', 200, 'admin'],
    [GET => '/api/queues/', '/api/queues/', 401, undef], [GET => '/api/secret-address/', '-', 404, undef], [PUT => "/api/visits/$visit->{id}/", '/api/visits/{id}/', 405, 'doctor'],
    [GET => "/api/visits/999999999/", '/api/visits/{id}/', 404, 'doctor'], [GET => '/api/users/', '/api/users/', 403, 'doctor'], [HEAD => '/api/queues/', '/api/queues/', 200, 'doctor'], [OPTIONS => '/api/queues/', '/api/queues/', 204, undef],
);
for my $case (@cases) {
    my ($method, $path, $route, $status, $role) = @$case;
    my ($reply, $line) = tagged($method, $path, $role ? (as => $role) : ());
    is($reply->{status}, $status, "... $status");
    is(join(' ', sort keys %$line), join(' ', sort(($line->{backend} ? 'backend' : ()), qw(actor bytes duration_ms level method msg request_id route status time))), '... its line has these members');
    is_deeply([@$line{qw(method route status msg level)}], [$method, $route, $status, 'request', 'info'], '... of this request');
    is(!!$line->{backend}, !!($role || $route eq '/api/health/' || $status == 401), '... and whether the database worked on it');
    like($line->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... when');
    ok($line->{duration_ms} > 0 && $line->{duration_ms} < 10_000, '... how long');
    is($line->{bytes}, length($reply->{content} // ''), '... how much');
    is($line->{actor}, $id{$role}, '... by whom') if $role && $status < 300;
    is($line->{actor}, undef, '... by nobody known') if !$role;
}

# A refusal in the database is in the log of audit under the same id, where it wrote; so is a success.
my ($made) = tagged(POST => '/api/patients/', as => 'assistant', json => { name => new_name('Audited') });
is(db("SELECT string_agg(request_id || ' ' || actor_name || ' ' || door || ' ' || host(client), ',') FROM clinicq.audit_event WHERE request_id = '$made->{headers}{'x-request-id'}'"),
    "$made->{headers}{'x-request-id'} assistant http 127.0.0.1", 'the audit log has the same id');

# Ids.
for my $id ('a', 'A-b_c.9', 'x' x 64) {
    is(call(GET => '/api/health/', headers => { 'X-Request-Id' => $id })->{headers}{'x-request-id'}, $id, 'the id ' . substr $id, 0, 9);
}
for my $id ('', 'x' x 65, 'two words', 'a"b', 'a/b', 'a;b', '<x>', '{"a":1}', 'a,b', "\xC3\xA9") {
    my $given = wire("GET /api/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: $id\r\n\r\n")->{headers}{'x-request-id'};
    like($given, qr/^[0-9a-f]{32}$/, 'in place of ' . substr($id, 0, 9) =~ s/[^ -~]/?/gr . ' one is made');
}
my %made;
$made{ call(GET => '/api/health/')->{headers}{'x-request-id'} }++ for 1 .. 200;
is(scalar keys %made, 200, 'made ones differ');

# A slow statement in the server's log, and who works on it now, name the request: its trace where it
# belongs to one, else its id.
db($_) for <<~'SQL', q{INSERT INTO clinicq.route (method, path, function, class, who, summary) VALUES ('GET', '/api/test-sleep/', 'clinicq_api.test_sleep', 'read', '{anyone}', 'Sleep.')}, q{ALTER SYSTEM SET log_min_duration_statement = '300ms'}, 'SELECT pg_reload_conf()';
    CREATE FUNCTION clinicq_api.test_sleep(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql SET search_path = pg_catalog, pg_temp
        AS $$ SELECT 200, NULL::json, NULL::json FROM pg_sleep(1.5) $$;
    REVOKE ALL ON FUNCTION clinicq_api.test_sleep FROM PUBLIC; ALTER FUNCTION clinicq_api.test_sleep OWNER TO clinicq_owner
    SQL
ok(wait_for(10, sub { call(GET => '/api/test-sleep/')->{status} == 200 }), 'there is a slow route');
my $trace = join '', map { sprintf '%x', rand 16 } 1 .. 31;
sub server_log { local (@ARGV, $/) = ("$ENV{CLINICQ_CLUSTER}/server/server.log"); return split /\n/, <> }
for my $case (['id', "slow-$$"], ['trace', "${trace}7", "traceparent: 00-${trace}7-00f067aa0ba902b7-01\r\n"]) {
    my ($what, $name, $parent) = (@$case, '');
    my $socket = connect_to();
    syswrite $socket, "GET /api/test-sleep/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: slow-$$\r\n$parent\r\n";
    ok(wait_for(5, sub { db("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'clinicq-shim $name' AND state = 'active'") }), "$what: pg_stat_activity shows it while it runs");
    is(parse_reply(scalar read_all($socket))->{status}, 200, '... to its end');
    my @slow = grep { / clinicq_shim clinicq-shim \Q$name\E LOG:  duration: \d{3,}\.\d+ ms  execute clinicq_call_\d+: SELECT / } server_log();
    is(scalar @slow, 1, '... and the line of the slow statement') or diag(join "\n", grep { /duration/ } server_log());
    is(line_of("slow-$$")->{request_id}, "slow-$$", '... whose request has a line of its own');
}
is(db("SELECT string_agg(DISTINCT application_name, ',') FROM pg_stat_activity WHERE usename = 'clinicq_shim' AND state = 'idle'"), 'clinicq-shim,clinicq-shim events', 'afterwards connections have their own name');
db($_) for q{DELETE FROM clinicq.route WHERE path = '/api/test-sleep/'}, 'DROP FUNCTION clinicq_api.test_sleep', 'ALTER SYSTEM RESET log_min_duration_statement', 'SELECT pg_reload_conf()';

# Every line is JSON, and none has what nobody may read there.
my @lines = log_lines();
my @broken = grep { !defined eval { JSON::PP::decode_json($_) } } @lines[0 .. $#lines - 1];
ok(@lines > 50 && !@broken, scalar(@lines) . ' lines of JSON') or diag($broken[0]);
my $log = join "\n", @lines;
my %secret = (
    name => [map { $_->[0] } db_rows("SELECT name FROM clinicq.patient WHERE length(name) > 5 AND name !~ '^[0-9.]+\$'")], phone => [map { $_->[0] } db_rows('SELECT DISTINCT phone FROM clinicq.patient WHERE length(phone) >= 7')],
    number => [map { $_->[0] } db_rows('SELECT registration_number FROM clinicq.patient WHERE length(registration_number) > 8')],
    username => [map { $_->[0] } db_rows('SELECT username FROM clinicq.app_user WHERE length(username) > 4 AND username ~ \'[0-9.]\'')], queue => [map { $_->[0] } db_rows('SELECT name FROM clinicq.queue WHERE length(name) > 5')],
    token => [$user->{token}, map { token($_) } qw(admin doctor assistant display)], password => [$user->{password}, map { (split /:/, $ENV{"CLINICQ_$_"})[1] } qw(ADMIN DOCTOR ASSISTANT DISPLAY)],
    'connection string' => [$ENV{CLINICQ_SHIM_DSN}, $ENV{CLINICQ_SHIM_DSN} =~ m{//\w+:([^@]+)@}], 'what was sent' => ['Secret', 'secret-address', 'smuggled', 'DROP TABLE', 'evil.example', 'registration_numbers=', 'page_size'],
);
for my $what (sort keys %secret) {
    my @found = grep { index($log, encode_utf8($_)) >= 0 } @{ $secret{$what} };
    ok(@{ $secret{$what} } && !@found, "no $what of " . @{ $secret{$what} } . ' is in it') or diag("@found[0 .. ($#found > 3 ? 3 : $#found)]");
}
my @errors = grep { /"level":"error"/ && !/database error XX|53400/ } @lines;
is(scalar @errors, 0, 'nothing that the suite did was an error of ours') or diag(join "\n", @errors > 5 ? @errors[0 .. 4] : @errors);
is(scalar(grep { /"status":500/ } @lines), 0, 'no request was a 500') or diag(grep { /"status":500/ } @lines);

done_testing;
