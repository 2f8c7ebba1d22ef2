# Proves that exports over HTTP are whole: many pages strung together are the log, each event once; CSV that
# another program reads; roles; one event in the log each; a million events without a temporary file and
# without memory that grows, in the shim or in the database; COPY the same.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $events = ($ENV{CLINICQ_SHIM_BINARY} // '') =~ /sanitize|coverage/ ? 60_000 : 1_000_000;
my $auditor = new_user('auditor');
sub get ($path, %how) { return call(GET => $path, token => $auditor->{token}, %how) }

# Roles, parameters, headers.
for my $path ('/api/audit/export/', '/api/audit/seals/', '/api/audit/snapshot/?kind=queues') {
    answers(call(GET => $path, as => $_), 403, "$path: not for $_") for qw(doctor assistant display);
    answers(call(GET => $path, as => $_), 200, "$path: for $_") for qw(admin);
    answers(get($path), 200, "$path: for an auditor");
    answers(call(GET => $path), 401, "$path: not without a token");
}
refused(get('/api/audit/export/?format=xml'), 400, ['format'], 'no other format');
refused(get('/api/audit/export/?from=yesterday&to=x'), 400, [qw(from to)], 'times are times');
refused(get('/api/audit/snapshot/?kind=doctors&from=2026-13-01'), 400, [qw(from kind)], 'kinds and days');
refused(get('/api/audit/snapshot/'), 400, ['kind'], 'a kind is needed');
refused(get('/api/audit/export/?cursor=0.0.0.0.0'), 400, ['cursor'], 'a cursor of no export');
new_patient(name => "Comma, \"quote\" and caf\x{e9}", phone => '+1');
my $csv = get('/api/audit/snapshot/?kind=patients&format=csv');
is("$csv->{headers}{'content-type'} $csv->{headers}{'content-disposition'} $csv->{headers}{'cache-control'}", 'text/csv; charset=utf-8 attachment; filename="patients.csv" no-store', 'CSV says what it is');
like($csv->{content}, qr/^registration_number,name,phone[^\r\n]*\r\n/, '... with a line of names');
like($csv->{content}, qr/,"Comma, ""quote"" and caf\xc3\xa9",'\+1,/, '... quoted, in UTF-8, without formulas');
unlike($csv->{content} =~ s/\r\n//gr, qr/[\r\n]/, '... and lines end with CR LF');
my $lines = get('/api/audit/snapshot/?kind=visits');
is($lines->{headers}{'content-type'}, 'application/x-ndjson; charset=utf-8', 'lines of JSON say so too');

# A long log.
db(qq{SET session_replication_role = replica; INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, entity_id, changes)
    SELECT now() - interval '20 days' + n * interval '1 second', pg_current_xact_id(), 'load', '{admin}', 'psql', 'UPDATE', 'load', n, jsonb_build_object('status', jsonb_build_object('old', n, 'new', 'line "' || n || '"')) FROM generate_series(1, $events) n});
db('ANALYZE clinicq.audit_event');
my $sealed = db('SELECT size FROM clinicq_audit.seal_now()');
cmp_ok($sealed, '>', $events, 'a log of many events is sealed');
sub temporary { return db('SELECT temp_files FROM pg_stat_database WHERE datname = current_database()') + db("SELECT count(*) FROM pg_ls_tmpdir()") }
sub memory ($pid) { open my $in, '<', "/proc/$pid/status" or return 0; local $/ = undef; return <$in> =~ /^VmHWM:\s+(\d+)/m ? $1 : 0 }

# Drinks a reply in pieces: bytes, lines, and what a check says of each line.
sub drink ($path, $each, $shim) {
    my $socket = connect_to(url_port($shim->{url}));
    syswrite $socket, "GET $path HTTP/1.1\r\nHost: a\r\nAuthorization: Token $auditor->{token}\r\nConnection: close\r\n\r\n";
    my ($bytes, $buffer, $rest, $size, $ended, $lines) = (0, '', '', 0, 0, 0);
    my $take = sub { my $got = sysread $socket, $buffer, 1 << 18, length $buffer; $bytes += $got // 0; return $got };
    $take->() || return until $buffer =~ s/^(.*?\r\n\r\n)//s;
    until ($ended) {
        until ($buffer =~ /^[0-9a-fA-F]+\r\n/) { $take->() || return "cut after $lines lines" }
        my ($line) = $buffer =~ /^([0-9a-fA-F]+)/;
        my $length = hex $line;
        last if $length == 0 && ++$ended;
        while (length $buffer < $length + length($line) + 4) { $take->() || return "cut after $lines lines" }
        $rest .= substr $buffer, length($line) + 2, $length;
        substr $buffer, 0, $length + length($line) + 4, '';
        while ((my $at = index $rest, "\n") >= 0) { $lines++; $each->(substr $rest, 0, $at + 1, '') }
    }
    return "$lines lines" . ($rest eq '' ? '' : ' and a part');
}

my $shim = start_shim();
my $before = temporary();
drink('/api/audit/export/?to=2020-01-01', sub { }, $shim); # warm
my $resident = memory($shim->{pid});
my ($next, $wrong, $load) = (0, 0, 0);
my $noted = db("SELECT count(*) FROM clinicq.audit_event WHERE action = 'EXPORT'");
my $began = time;
is(drink('/api/audit/export/', sub ($line) { $line =~ /^\{"position":(\d+),"leaf":"[0-9a-f]{64}",(?:"personal":\{.*\},)?"event":\{"id":\d+,"at":"/ && $1 == $next++ or $wrong++; $load++ if $line =~ /"entity":"load"/ }, $shim), "$sealed lines", 'as JSON lines all of it comes');
diag(sprintf '%d events as JSON lines in %.1f s', $sealed, time - $began);
is("$wrong wrong, $load load", "0 wrong, $events load", '... each event once, in the order of the tree');
is(db("SELECT count(*) FROM clinicq.audit_event WHERE action = 'EXPORT'") - $noted, 1, '... noted once');
my %seen;
($wrong, $load) = (0, 0);
$began = time;
like(drink('/api/audit/export/?format=csv', sub ($line) { $wrong++ if $line !~ /\r\n$/; $load++ if $line =~ /,load,\d+,"\{""status"": \{""new"": ""line \\""\d+\\""""/ }, $shim), qr/^\d+ lines$/, 'as CSV too');
diag(sprintf '%d events as CSV in %.1f s', $events, time - $began);
is("$wrong wrong, $load load", "0 wrong, $events load", '... each event once');
is(temporary() - $before, 0, 'without a temporary file');
cmp_ok(memory($shim->{pid}) - $resident, '<', ($ENV{CLINICQ_SHIM_BINARY} // '') =~ /sanitize/ ? 300_000 : 6_000, 'the shim needs no more memory for it') or diag($resident, ' ', memory($shim->{pid}));
my $largest = 0;
for (db_rows(q{SELECT pid FROM pg_stat_activity WHERE usename = 'clinicq_shim'})) {
    my ($pss) = do { open my $in, '<', "/proc/$_->[0]/status" or next; local $/ = undef; <$in> =~ /^RssAnon:\s+(\d+)/m };
    $largest = $pss if $pss > $largest;
}
cmp_ok($largest, '<', 40_000, '... nor a backend (private memory, KiB)') or diag($largest);

# COPY, as the issue of a DBA: in FROM, and it streams all the same.
my $role = 'test_copy_' . int rand 1e6;
db("CREATE ROLE $role LOGIN IN ROLE clinicq_auditor");
sub copy ($query, $how, $count) {
    my $dsn = $ENV{CLINICQ_SUPERUSER_DSN};
    my ($lines, $first, $peak, $began) = (0, 0, 0, time);
    open my $out, '-|', 'psql', $dsn, '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', "SET ROLE $role; SET work_mem = '64kB'; SET application_name = '$role'", '-c', "COPY ($query) TO STDOUT ($how)" or die;
    while (<$out>) {
        $lines++;
        next if $lines % 50_000;
        my $pid = db("SELECT pid FROM pg_stat_activity WHERE application_name = '$role'") or next;
        open my $in, '<', "/proc/$pid/status" or next;
        local $/ = undef;
        my ($anon) = <$in> =~ /^RssAnon:\s+(\d+)/m;
        $first ||= $anon;
        $peak = $anon if $anon > $peak;
    }
    close $out;
    ok($? == 0 && $lines >= $count, "COPY ($query): $lines lines");
    diag(sprintf 'COPY (%s): %.1f s', $query, time - $began);
    return $peak - $first;
}
$before = temporary();
cmp_ok(copy('SELECT * FROM clinicq_audit.export()', 'FORMAT csv, HEADER', $events), '<', 4_000, '... and memory does not grow with them, literally as it is asked for');
cmp_ok(copy('SELECT clinicq_audit.export_events()', "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'", $events), '<', 4_000, '... as JSON lines');
copy("SELECT clinicq_audit.snapshot('visits')", "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'", 0);
copy('SELECT * FROM clinicq_audit.snapshot_patients(safe => true)', 'FORMAT csv, HEADER', 1);
is(temporary() - $before, 0, 'without a temporary file');
db("DROP ROLE $role");

# Memory of a page while somebody reads slowly is in 54_stream.t. A backend that dies in the middle:
my $socket = connect_to(url_port($shim->{url}));
syswrite $socket, "GET /api/audit/export/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token $auditor->{token}\r\n\r\n";
IO::Select->new($socket)->can_read(5);
db(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'clinicq_shim'}) for 1 .. 3;
my ($bytes, $closed) = read_all($socket, 120); # a read is tried again, so all of it may come
ok($bytes =~ /\r\n0\r\n\r\n$/ || $closed, 'backends killed in the middle: whole, or cut');
ok($bytes =~ /\r\n0\r\n\r\n$/ || length($bytes) < 300 * $events, '... a part is no whole');
is($shim->stop, 0, 'the shim ends as it should');

db("SET session_replication_role = replica; DELETE FROM clinicq.audit_event WHERE entity = 'load'");
db('SET session_replication_role = replica; TRUNCATE clinicq.audit_leaf, clinicq.audit_node, clinicq.audit_seal');
done_testing;
