# Proves the port for operators: /live, /ready and /metrics, that /ready follows the database, and that
# no answer, whatever goes wrong behind it, shows SQL, a file or a stack.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $shim = start_shim(CLINICQ_REQUEST_TIMEOUT_MS => 1500);
sub ask ($path, $method = 'GET') { return call($method => $path, url => $shim->{metrics}) }
sub api ($method, $path, %how) { return call($method => $path, url => $shim->{url}, %how) }
sub metric ($pattern) {
    my ($value) = ask('/metrics')->{content} =~ /^clinicq_$pattern ([0-9.]+)$/m;
    return $value;
}

for my $path ('/live', '/ready') {
    my $reply = ask($path);
    is("$reply->{status} $reply->{content}", '200 {"status":"ok"}', $path);
    is(join(' ', @{ $reply->{headers} }{qw(cache-control x-content-type-options content-security-policy)}), q{no-store nosniff default-src 'none'; frame-ancestors 'none'}, '... not kept, guessed at or shown in a frame');
    is(ask($path, 'HEAD')->{status}, 200, '... by HEAD');
    is(ask($path, 'POST')->{status}, 405, '... not by POST');
}
answers(ask('/'), 404, 'nothing else is there');
answers(ask('/api/health/'), 404, '... not the API');
answers(api(GET => $_), 404, "$_ is not on the API's port") for '/metrics', '/live', '/ready';

# The metrics: Prometheus' text, with HELP and TYPE for each, counters that count.
my $text = ask('/metrics');
like($text->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4}, 'metrics are text');
my %type = $text->{content} =~ /^# TYPE (\S+) (counter|gauge|histogram)$/mg;
my %help = $text->{content} =~ /^# HELP (\S+) (\S.*)$/mg;
is(join(' ', sort keys %type), join(' ', sort keys %help), 'each has HELP and TYPE');
my @bad = grep { !/^#/ && !/^clinicq_[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [0-9.]+$/ } split /\n/, $text->{content};
is(scalar @bad, 0, 'each line is a sample') or diag(@bad);
my @untyped = grep { !/^#/ && /^([a-z_]+)/ && !$type{$1} && !$type{ $1 =~ s/_(?:bucket|sum|count)$//r } } split /\n/, $text->{content};
is(scalar @untyped, 0, '... of one of them') or diag(@untyped);

my $queues = 'http_requests_total\{route="/api/queues/",method="GET",status="200"\}';
my $before = metric($queues) // 0;
api(GET => '/api/queues/', as => 'doctor') for 1 .. 7;
is(metric($queues) - $before, 7, 'requests are counted by route, method and status');
my $patient = new_patient()->{registration_number};
api(GET => "/api/patients/$patient/", as => 'doctor');
api(GET => '/api/secret/address', as => 'doctor');
my $now = ask('/metrics')->{content};
unlike($now, qr/\Q$patient\E|secret/, '... never by what stands in the address');
like($now, qr/route="-",method="GET",status="404"/, '... unknown addresses as one');
ok(wait_for(20, sub { defined metric('audit_unsealed_seconds') && defined metric('keeper_running') }), 'what the database says of itself: the lag of sealing, and the keeper');
ok(metric('http_request_duration_seconds_count\{class="read"\}') >= 8, 'durations by class');
is(metric('http_request_duration_seconds_bucket\{class="read",le="\+Inf"\}'), metric('http_request_duration_seconds_count\{class="read"\}'), '... the last bucket has them all');
is(metric("pool_connections\\{pool=\"$_\"\\}"), metric("pool_connections_up\\{pool=\"$_\"\\}"), "all connections for $_ are up") for qw(read write slow);
my $client = connect_to(url_port($shim->{url}));
ok(wait_for(2, sub { metric('client_connections') >= 1 }), 'clients are counted');
close $client;
cmp_ok(metric('client_connections_total'), '>=', 1, '... all that came, too');

# A statement that waits too long: 503 or 504, said plainly, and counted.
my $visit = new_visit(new_queue());
my $unlock = lock_visit($visit->{id}, 10);
my $began = time;
my $waited = api(PATCH => "/api/visits/$visit->{id}/start/", as => 'doctor');
like($waited->{status}, qr/^50[34]$/, "a request for it: $waited->{status}");
ok(defined $waited->{json}{detail} && $waited->{json}{detail} !~ /SELECT|lock_timeout|statement|relation|clinicq\./i, '... says plainly what is') or diag($waited->{content});
cmp_ok(time - $began, '<', 6, '... in time');
is(api(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{status}, 200, '... it may be read meanwhile');
$unlock->();

# Something breaks in the database: 500 with the request's id and no more; the log has the reason.
db('ALTER TABLE clinicq.queue RENAME COLUMN token_prefix TO gone');
for my $accept ('application/json', 'application/problem+json') {
    my $broken = api(POST => '/api/queues/', as => 'admin', json => { name => new_name('Broken') }, accept => $accept);
    is($broken->{status}, 500, "a broken table: 500 ($accept)");
    unlike($broken->{content}, qr/token_prefix|column|clinicq\.|INSERT|42703|PL|\.c\b/, '... without a word of it');
    ok(length $broken->{json}{detail}, '... in the shape of errors');
}
db('ALTER TABLE clinicq.queue RENAME COLUMN gone TO token_prefix');
ok(wait_for(5, sub { grep { /database error 42703/ } log_lines($shim->{log}) }), 'the log says what broke');
answers(api(POST => '/api/queues/', as => 'admin', json => { name => new_name('Mended') }), 201, 'mended, it works again');

# The connections are cut: reads go on, the service is ready again by itself.
db("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'clinicq_shim'");
my %after;
$after{ api(GET => '/api/queues/', as => 'doctor')->{status} }++ for 1 .. 20;
ok(!grep({ !/^(?:200|503)$/ } keys %after), 'all connections cut: 200, or 503 for a moment') or diag(join ' ', %after);
ok(wait_for(10, sub { ask('/ready')->{status} == 200 && api(GET => '/api/queues/', as => 'doctor')->{status} == 200 }), '... then it is ready again');
ok(metric('pool_reconnects_total\{pool="read"\}') > 0, '... and has counted it');

# The role may no longer log in: not ready, 503 with Retry-After, and back without a restart.
db("ALTER ROLE clinicq_shim NOLOGIN; SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'clinicq_shim'");
ok(wait_for(5, sub { ask('/ready')->{status} == 503 }), 'without a database it is not ready');
is(ask('/live')->{status}, 200, '... but alive');
my $away = api(GET => '/api/queues/', as => 'doctor');
ok($away->{status} == 503 && $away->{headers}{'retry-after'}, '... requests are 503 with Retry-After');
unlike($away->{content}, qr/role|FATAL|libpq|socket|\.s\.PGSQL/, '... that shows nothing of why');
like($away->{json}{detail}, qr/database/, '... in plain words');
db('ALTER ROLE clinicq_shim LOGIN');
ok(wait_for(15, sub { ask('/ready')->{status} == 200 }), 'the database is back: ready, by itself');
answers(api(GET => '/api/queues/', as => 'doctor'), 200, '... and serves');
ok(wait_for(15, sub { call(GET => '/api/queues/', as => 'doctor')->{status} == 200 && call(GET => '/ready', url => $ENV{CLINICQ_METRICS_URL})->{status} == 200 }), 'the other shim of this suite too');

# Before migrate() there is nothing to serve; metrics may be off.
my $quiet = start_shim();
is($quiet->stop, 0, 'another one beside it ends');
my ($code, undef, $error) = run_shim({ CLINICQ_SHIM_DSN => $ENV{CLINICQ_SHIM_DSN}, CLINICQ_PORT => url_port($shim->{metrics}), CLINICQ_METRICS_PORT => 0 });
is($code, 1, 'a taken port is told by exit code 1') or diag($error);
is($shim->stop, 0, 'it ends');

done_testing;
