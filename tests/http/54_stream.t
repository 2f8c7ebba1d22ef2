# Proves replies that come in pages: every page once and in order, each a call of its own with the rights
# checked again; a slow client holds neither a connection nor memory that grows; one that has gone is
# called for no more; what fails in the middle cuts the connection, so that no part is taken for the whole.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;
use IO::Select;

# pages= of bytes= each; from page fail= on it refuses, at page sleep= it waits.
db(q{CREATE FUNCTION public.clinicq_test_fail() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'No more.' USING ERRCODE = 'QC409'; END $f$});
db(q{CREATE FUNCTION public.clinicq_test_pages(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE plpgsql AS $f$
DECLARE
    n int := coalesce(query->>'cursor', '1');
    reply clinicq_api.reply;
BEGIN
    PERFORM public.clinicq_test_fail() WHERE n >= (query->>'fail')::int;
    PERFORM pg_sleep(5) WHERE n = (query->>'sleep')::int;
    SELECT coalesce((query->>'status')::int, 200),
        to_json(coalesce(query->>'text', '') || repeat('page ' || n || E' "\\\\" \u00e9\U0001F600' || E'\r\n', (query->>'bytes')::int / 20)),
        json_strip_nulls(json_build_object('Content-Type', 'text/csv; charset=utf-8', 'Content-Disposition', 'attachment; filename="a.csv"',
            'Next-Page', CASE WHEN n < (query->>'pages')::int THEN (CASE WHEN query ? 'stuck' THEN n ELSE n + 1 END)::text END)) INTO reply;
    RETURN reply;
END $f$});
db('ALTER FUNCTION public.clinicq_test_pages(text[], jsonb, text) OWNER TO clinicq_owner');
db(q{INSERT INTO clinicq.route (method, path, function, class, who, summary) VALUES ('GET', '/api/test/pages/', 'public.clinicq_test_pages', 'slow', '{any}', 'Pages.')});
ok(wait_for(15, sub { call(GET => '/api/test/pages/?pages=1&bytes=20', as => 'admin')->{status} == 200 }), 'a route whose replies come in pages');

sub metric ($name, $url = $ENV{CLINICQ_METRICS_URL}) { return call(GET => '/metrics', url => $url)->{content} =~ /^clinicq_$name (\d+)/m ? $1 : -1 }
sub head ($path, $method = 'GET', $version = '1.1', $as = 'admin') { return "$method $path HTTP/$version\r\nHost: a\r\nAuthorization: Token " . token($as) . "\r\n\r\n" }
sub page ($n, $bytes) { return encode_utf8("page $n \"\\\" \x{e9}\x{1F600}\r\n") x int($bytes / 20) }
# The body of a chunked reply, and whether it has its end.
sub dechunk ($bytes) {
    my ($body, $at) = ('', 0);
    while (substr($bytes, $at, 32) =~ /^([0-9a-fA-F]+)\r\n/) {
        my ($size, $line) = (hex $1, length $1);
        return ($body, 1) if $size == 0;
        $body .= substr $bytes, $at + $line + 2, $size;
        $at += $line + 4 + $size;
    }
    return ($body, 0);
}

# A text instead of JSON, in one page and in many.
my $one = call(GET => '/api/test/pages/?pages=1&bytes=60', as => 'admin');
is($one->{content}, page(1, 60), 'a JSON string with a type of its own is sent as its text');
is("$one->{headers}{'content-type'} $one->{headers}{'content-disposition'}", 'text/csv; charset=utf-8 attachment; filename="a.csv"', '... with the type and the name');
is($one->{headers}{'content-length'}, length $one->{content}, '... and its length');
is($one->{headers}{'next-page'}, undef, 'the header that names the next page is not sent');
for my $bytes (20, 4000, 60_000, 700_000) {
    my $many = call(GET => "/api/test/pages/?pages=7&bytes=$bytes", as => 'admin');
    ok($many->{content} eq join('', map { page($_, $bytes) } 1 .. 7), "seven pages of $bytes bytes, each once and in order");
    is($many->{headers}{'transfer-encoding'}, 'chunked', '... in chunks');
    is($many->{headers}{'next-page'}, undef, '... of which no header tells');
}
my $twice = connect_to();
syswrite $twice, head('/api/test/pages/?pages=3&bytes=4000') x 2;
is(() = scalar(read_all($twice, 2)) =~ /\r\n0\r\n\r\n/g, 2, 'the connection serves the next request after it');
is(call(GET => '/api/test/pages/?pages=3&bytes=20&cursor=2', as => 'admin')->{content}, page(2, 20) . page(3, 20), 'a page may be asked for, and what follows it');

# Other methods and versions.
my $headed = wire(head('/api/test/pages/?pages=5&bytes=4000', 'HEAD'), 1);
is("$headed->{status} [$headed->{content}]", '200 []', 'HEAD: the headers alone');
my $old = wire(head('/api/test/pages/?pages=5&bytes=4000', 'GET', '1.0'));
is("$old->{status} $old->{json}{detail}", '505 In HTTP/1.0 the end of so long a reply could not be told from its loss.', 'HTTP/1.0 cannot tell a part from the whole');
is(wire(head('/api/test/pages/?pages=1&bytes=40', 'GET', '1.0'))->{content}, page(1, 40), '... but gets what is one page');
is(call(GET => '/api/test/pages/?pages=5&bytes=20&status=404', as => 'admin')->{status}, 404, 'a refusal is none of several pages');

# Counted once.
my $request_id = 'stream-' . int rand 1e9;
my $pages = metric('stream_pages_total');
my $counted = call(GET => '/api/test/pages/?pages=9&bytes=4000', as => 'admin', headers => { 'X-Request-Id' => $request_id });
is(metric('stream_pages_total') - $pages, 9, 'each page is counted');
ok(wait_for(5, sub { grep { /"$request_id"/ } log_lines() }), 'a line in the log');
my @lines = grep { /"$request_id"/ } log_lines();
is(scalar @lines, 1, '... one');
like($lines[0], qr/"bytes":@{[length $counted->{content}]}\b/, '... with all its bytes');
like(call(GET => '/metrics', url => $ENV{CLINICQ_METRICS_URL})->{content}, qr/_count\{class="stream"\} [1-9]/, 'its time is measured apart');

# What fails in the middle.
my $cuts = metric('streams_cut_total');
for my $case (['fail=3', 'a refusal', 2], ['stuck=1', 'a page that names itself as the next', 2]) {
    my ($query, $what, $whole) = @$case;
    my ($bytes, $closed) = do { my $socket = connect_to(); syswrite $socket, head("/api/test/pages/?pages=5&bytes=4000&$query"); read_all($socket, 5) };
    my ($body, $ended) = dechunk((split /\r\n\r\n/, $bytes, 2)[1]);
    ok($closed && !$ended, "$what: the connection is cut without an end");
    is(() = $body =~ /page 1 /g, 200, '... after what had come');
}
is(metric('streams_cut_total') - $cuts, 2, 'each cut is counted');
ok((grep { /"level":"warning".*the reply was cut/ } log_lines()) >= 2, '... and logged');
is(call(GET => '/api/test/pages/?pages=5&bytes=20&fail=1', as => 'admin')->{status}, 409, 'what fails at the first page is an answer');
my $waits = q{FROM pg_stat_activity WHERE usename = 'clinicq_shim' AND wait_event = 'PgSleep'};
# A page is asked for twice: what is lost once is not noticed.
sub killed ($times) {
    my $socket = connect_to();
    syswrite $socket, head('/api/test/pages/?pages=2&bytes=4000&sleep=2');
    for (1 .. $times) {
        ok(wait_for(5, sub { db("SELECT count(*) $waits") }), 'a page that takes long');
        db("SELECT pg_terminate_backend(pid, 1000) $waits");
    }
    my ($bytes, $closed) = read_all($socket, 12);
    return ($closed, dechunk((split /\r\n\r\n/, $bytes, 2)[1]));
}
my ($closed, $body, $ended) = killed(1);
ok($ended, 'its backend killed: the reply goes on');
is(() = $body =~ /page 2 /g, 200, '... and is whole');
($closed, $body, $ended) = killed(2);
ok($closed && !$ended, 'the second one killed as well: the connection is cut');
answers(call(GET => '/api/test/pages/?pages=2&bytes=20', as => 'admin'), 200, 'the next one is served');
my $user = new_user('assistant');
my $slow = connect_to();
syswrite $slow, "GET /api/test/pages/?pages=400&bytes=700000 HTTP/1.1\r\nHost: a\r\nAuthorization: Token $user->{token}\r\n\r\n";
IO::Select->new($slow)->can_read(5);
answers(call(PATCH => "/api/users/$user->{id}/", as => 'admin', json => { disabled => JSON::PP::true() }), 200, 'a user is shut out in the middle of it');
(my $bytes, $closed) = read_all($slow, 15);
ok($closed && !(dechunk((split /\r\n\r\n/, $bytes, 2)[1]))[1], '... and gets no more pages');
cmp_ok(length $bytes, '<', 60_000_000, '... but what was on its way');

# A client that reads slowly, and one that goes.
my $shim = start_shim(CLINICQ_SLOW_CONNECTIONS => 1, CLINICQ_SEND_TIMEOUT_MS => 4000);
my $port = url_port($shim->{url});
sub own ($name) { return metric($name, $shim->{metrics}) }
sub ask_for ($pages) {
    my $socket = connect_to($port);
    syswrite $socket, head("/api/test/pages/?pages=$pages&bytes=700000");
    IO::Select->new($socket)->can_read(5);
    return $socket;
}
my @idle = map { ask_for(1000) } 1 .. 20;
ok(wait_for(5, sub { own('streams') == 20 }), 'twenty that do not read');
my $began = time;
is(call(GET => '/api/test/pages/?pages=3&bytes=4000', as => 'admin', url => $shim->{url})->{content}, join('', map { page($_, 4000) } 1 .. 3), 'others are served by the one connection');
cmp_ok(time - $began, '<', 1.2, '... at once');
is(db(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'clinicq_shim' AND state <> 'idle' AND xact_start < now() - interval '300 ms'}), 0, 'no backend works or holds a transaction for them');
cmp_ok(own('stream_pages_total'), '<', 20 * 30, 'no more is fetched than they take');
ok(wait_for(12, sub { own('streams') == 0 }), 'who does not take a page in time is cut off');
close $_ for @idle;
my $gone = ask_for(1000);
close $gone;
ok(wait_for(6, sub { own('streams') == 0 }), 'one that has gone');
my $then = own('stream_pages_total');
sleep 0.3;
is(own('stream_pages_total'), $then, '... is called for no more');
my $steady = ask_for(60);
$began = time;
my ($taken, $end) = (0, time + 20);
while (time < $end && sysread $steady, my $piece, 262_144) { $taken += length $piece; sleep 0.03; last if $piece =~ /\r\n0\r\n\r\n$/ }
cmp_ok(time - $began, '>', 3, 'one that reads for longer than the limit of one page');
cmp_ok($taken, '>', 60 * 660_000, '... gets all of it');

# Memory does not grow with what is sent.
sub memory { my ($kib) = grep { /^VmRSS/ } split /\n/, do { open my $in, '<', "/proc/$shim->{pid}/status"; local $/ = undef; <$in> }; return $kib =~ /(\d+)/ ? $1 : -1 }
sub drink ($pages) { my $socket = connect_to($port); syswrite $socket, head("/api/test/pages/?pages=$pages&bytes=700000"); my $all = 0; while (my $got = sysread $socket, my $piece, 1 << 20) { $all += $got; last if substr($piece, -5) eq "0\r\n\r\n" } return $all }
drink(20);
my $before = memory();
cmp_ok(drink(400), '>', 260_000_000, 'a long reply');
cmp_ok(memory() - $before, '<', ($ENV{CLINICQ_SHIM_BINARY} // '') =~ /sanitize/ ? 300_000 : 4_000, 'takes no more memory than a short one') or diag(memory() - $before);

# The end of the shim.
my $last = ask_for(4);
$shim->signal('TERM');
my ($rest, $shut) = read_all($last, 10);
($body, $ended) = dechunk((split /\r\n\r\n/, $rest, 2)[1]);
ok($ended && $body =~ /page 4 .*page 4 /s, 'a reply on its way is finished at the end of the shim');
is($shim->wait, 0, 'exit code 0');
my $cut = start_shim(CLINICQ_DRAIN_TIMEOUT_MS => 300);
$port = url_port($cut->{url});
my @never = map { ask_for(1000) } 1 .. 3;
syswrite $never[0] = connect_to($port), head('/api/test/pages/?pages=5&bytes=4000&sleep=2');
sleep 0.3;
is($cut->stop, 0, 'past the limit of the drain: exit code 0, whatever they wait for');

db(q{DELETE FROM clinicq.route WHERE path = '/api/test/pages/'});
db('DROP FUNCTION public.clinicq_test_pages(text[], jsonb, text), public.clinicq_test_fail()');
done_testing;
