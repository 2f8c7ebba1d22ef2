# Proves the reports over HTTP: the list, each report as JSON and as CSV (RFC 4180) for a period and a
# queue, what a spreadsheet would take for a formula, bounds and bad parameters, who may, and that an
# export leaves an audit event.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $day = db("SELECT (now() AT TIME ZONE 'UTC')::date - 10");
my $queue = new_queue(name => new_name('=cmd, "Ä"'));
my $name = db("SELECT name FROM clinicq.queue WHERE id = $queue");
my $other = new_queue();
my $visits = 4;
for my $n (1 .. $visits) {
    my $visit = new_visit($queue);
    move($visit, $_) for qw(start in_room done);
}
my $here = new_visit($other);
# Ten days ago, with waits of 100, 200, 300 and 400 seconds and ten minutes in the room.
db(<<"SQL");
    UPDATE clinicq.visit SET service_day = '$day', created_at = '$day 10:00+00', token_number = token_number + 1000 WHERE queue_id = $queue;
    UPDATE clinicq.visit_event e SET at = v.created_at + CASE e.move WHEN 'open' THEN interval '0'
        ELSE interval '100 seconds' * (v.token_number - 1000) + CASE e.move WHEN 'done' THEN interval '10 minutes' ELSE interval '0' END END
        FROM clinicq.visit v WHERE v.id = e.visit_id AND v.queue_id = $queue
SQL

sub report ($name, $query = '', %how) { return call(GET => "/api/reports/$name/" . (length $query ? "?$query" : ''), as => 'admin', %how) }
# RFC 4180, strictly: lines end in CRLF, quotes are doubled within quotes.
sub csv_rows ($text) {
    my (@rows, @row);
    while ($text =~ /\G(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\z)/gc) {
        my ($quoted, $plain, $end) = ($1, $2, $3);
        last if $end eq '' && !@row && !defined $quoted && !length $plain;
        push @row, defined $quoted ? $quoted =~ s/""/"/gr : $plain;
        push(@rows, [@row]), @row = () if $end eq "\r\n";
        return if $end eq '';
    }
    return @rows;
}

# The list.
my $list = call(GET => '/api/reports/', as => 'admin');
answers($list, 200, 'the list of reports');
is(join(' ', map { $_->{name} } @{ $list->{json}{results} }), join(' ', map { $_->[0] } db_rows('SELECT name FROM clinicq_report.reports()')), '... is that of the database');
for my $one (@{ $list->{json}{results} }) {
    ok(length $one->{summary} && $one->{period} =~ /^(?:day|month|now|moment)$/, "$one->{name} has a summary and a period");
    is($one->{url}, "$ENV{CLINICQ_URL}/api/reports/$one->{name}/", '... its address');
    my $query = (grep { $_ eq 'at' } @{ $one->{parameters} }) ? "queue=$queue" : '';
    my $reply = report($one->{name}, $query);
    answers($reply, 200, '... answers');
    is($reply->{json}{report}, $one->{name}, '... by its name');
    is($reply->{json}{count}, scalar @{ $reply->{json}{results} }, '... counted');
    my $csv = report($one->{name}, "format=csv&$query");
    is($csv->{headers}{'content-type'}, 'text/csv; charset=utf-8', '... as CSV');
    my @rows = csv_rows($csv->{content});
    is(scalar @rows, 1 + $reply->{json}{count}, '... as many rows, and a head');
    is(scalar(grep { @$_ != @{ $rows[0] } } @rows), 0, '... equally long');
    is_deeply([sort @{ $rows[0] }], [sort keys %{ $reply->{json}{results}[0] }], '... with the same columns') if $reply->{json}{count};
}

# The numbers, for a period and a queue.
my $period = "from=$day&to=$day&queue=$queue";
my $waiting = report('waiting_time', $period);
is_deeply($waiting->{json}, { report => 'waiting_time', from => $day, to => $day, queue => $queue, count => 1, results => [{
    day => $day, queue_id => $queue, queue => $name, calls => 4, median => 250, p90 => 370, p95 => 385,
    later_calls => 0, later_median => undef, later_p90 => undef, later_p95 => undef }] }, 'waiting times of a day and queue');
like($waiting->{content}, qr/"median":250\.0,/, '... are numbers');
is(report('service_time', $period)->{json}{results}[0]{median}, 600, 'service times');
is(report('waiting_time_per_month', $period)->{json}{results}[0]{calls}, 4, 'by months, the whole month');
is(report('doctor_work', $period)->{json}{results}[0]{user_name}, 'doctor', 'doctors by name');
is(report('waiting_time', "from=$day&to=$day&queue=$other")->{json}{count}, 0, 'another queue had none');
is(report('visits_per_day', "queue=$other")->{json}{results}[0]{waiting}, 1, 'without a period, the last month');
is(report('visits_per_day', 'queue=987654321')->{json}{count}, 0, 'an unknown queue has no rows');
my ($open) = grep { $_->{visit_id} == $here->{id} } @{ report('open_visits')->{json}{results} };
is($open->{token}, '1', 'open visits');
like($open->{opened_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z$/, '... times in UTC');

# The board of a moment.
my $board = sub ($at) { report('board', "queue=$queue&at=$at") };
is(join(' ', map { "$_->{token_number} $_->{status}" } @{ $board->("${day}T10:03:30Z")->{json}{results} }), '1001 IN_ROOM 1002 IN_ROOM 1003 WAITING 1004 WAITING', 'the board at a moment');
is($board->("${day}T11:03:30%2B01:00")->{json}{count}, 4, '... with an offset');
is($board->("${day}T11:03:30+01:00")->{json}{count}, 4, '... whose plus was not encoded');
is($board->("${day}T09:59:59.999999Z")->{json}{count}, 0, '... with a fraction, before the first');
is(report('board', "queue=$other")->{json}{results}[0]{status}, 'WAITING', '... now');
refused(report('board', 'queue=987654321'), 404, 'detail', '... of an unknown queue');
refused(report('board', ''), 400, ['queue'], '... of none');

# CSV.
my $csv = report('waiting_time', "$period&format=csv");
is($csv->{headers}{'content-disposition'}, "attachment; filename=\"waiting_time_${day}_$day.csv\"", 'a file with a name of its own');
is($csv->{headers}{'cache-control'}, 'no-store', '... not to be kept');
is($csv->{content}, encode_utf8(join(',', qw(day queue_id queue calls median p90 p95 later_calls later_median later_p90 later_p95)) . "\r\n"
    . join(',', $day, $queue, '"\'' . $name =~ s/"/""/gr . '"', 4, '250.0', '370.0', '385.0', 0, '', '', '') . "\r\n"), 'its bytes: a formula is made harmless');
is((csv_rows(report('waiting_time', "$period&format=csv&safe=off")->{content}))[1][2], encode_utf8($name), 'as it is with safe=off');
is((csv_rows(report('open_visits', 'format=csv')->{content}))[0][0], 'day', 'a report of now');
is(report('open_visits', 'format=csv')->{headers}{'content-disposition'}, 'attachment; filename="open_visits.csv"', '... has no days in its name');
my $head = call(HEAD => "/api/reports/waiting_time/?$period&format=csv", as => 'admin');
is($head->{headers}{'content-length'}, length $csv->{content}, 'HEAD');

# An export is an event; a look is none.
my $exports = "SELECT count(*) FROM clinicq.audit_event WHERE action = 'EXPORT' AND entity = 'report'";
my $before = db($exports);
report('no_shows', $period);
is(db($exports), $before, 'JSON leaves no event');
report('no_shows', "$period&format=csv");
is(db($exports), $before + 1, 'CSV leaves one');
is(db("SELECT concat_ws(' ', actor_name, door, changes->>'report', changes->>'from', changes->>'queue', changes->>'count') FROM clinicq.audit_event WHERE action = 'EXPORT' ORDER BY id DESC LIMIT 1"),
    "admin http no_shows $day $queue 1", '... that says who and what');
set_setting('audit_exports', 'off');
report('no_shows', "$period&format=csv");
is(db($exports), $before + 1, '... and none where audit_exports is off');
set_setting('audit_exports', 'on');

# Bad parameters, all at once.
refused(report('waiting_time', 'from=yesterday&to=2026-02-30&queue=x&format=xls&safe=maybe'), 400, [qw(from to queue format safe)], 'every bad parameter is named');
refused(report('waiting_time', "from=$day&to=2020-01-01"), 400, ['to'], 'an end before the beginning');
refused(report('waiting_time', 'from=2000-01-01&to=2026-01-01'), 400, ['from'], 'more than ten years');
answers(report('waiting_time', 'from=2016-01-03&to=2026-01-01'), 200, 'ten years are one report');
refused(report('board', "queue=$queue&at=$_"), 400, ['at'], "no moment: $_")
    for '2026-11-20T08:30', '2026-11-20T24:00:00Z', '2026-13-01T08:30:00Z', '2026-11-20T08:60:00Z', '2026-11-20T08:30:00', '2026-11-20T08:30:00ZZ', '2026-11-20T08:30:00*01:00', '2026-11-20T08:30:00+01', '2026-11-20T08:30:00+99:00', 'now';
refused(report($_), 404, 'detail', "no report: $_") for qw(move every_visit_summary open_visits_named durations visit reports), 'no_shows%27', '%22';
answers(call(POST => '/api/reports/no_shows/', as => 'admin'), 405, 'reports are only read');

# More rows than a report has.
db(<<"SQL");
    INSERT INTO clinicq.hour_summary SELECT date '2001-01-01' + n / 24, $other, n % 24, 1, 1, 1 FROM generate_series(0, 50000) n
SQL
refused(report('load_by_hour', 'from=2001-01-01&to=2010-01-01'), 400, ['from'], 'more than 50,000 rows are refused');
is(report('load_by_hour', "from=2001-01-01&to=2006-09-14")->{json}{count}, 24 * 2083, 'fewer are not');
db("DELETE FROM clinicq.hour_summary WHERE service_day < '2010-01-01'");

# Who.
my $reporter = new_user('reporter');
answers(report('no_shows', '', token => $reporter->{token}), 200, 'a reporter reads reports');
answers(call(GET => '/api/reports/', token => $reporter->{token}), 200, '... and their list');
for my $role (qw(doctor assistant display)) {
    refused(report('no_shows', 'format=x', as => $role), 403, 'detail', "$role does not");
    refused(report('nothing', '', as => $role), 403, 'detail', '... nor learns which there are');
    refused(call(GET => '/api/reports/', as => $role), 403, 'detail', '... nor their list');
}
refused(call(GET => '/api/reports/no_shows/'), 401, 'detail', 'nobody without a token');

done_testing;
