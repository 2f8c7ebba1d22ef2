# Proves sections 2.7 and 2.8: opening a visit, tokens, the second open visit, the list with its order
# and filters, and what today is.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $visits = '/api/visits/';
my ($eye, $dental) = (new_queue(name => new_name('A Eye')), new_queue(name => new_name('B Dental')));
my $patient = new_patient();
my $number = $patient->{registration_number};
sub open_visit ($body, %how) { return call(POST => $visits, as => 'assistant', json => $body, %how) }
sub list ($query) { return call(GET => "$visits?$query", as => 'doctor')->{json} }
sub ids ($query) { return join ' ', map { $_->{id} } @{ list($query)->{results} // [] } }

my $reply = open_visit({ patient => $number, queue => $eye, token_number => 77, status => 'DONE', visit_date => '2020-01-01', id => 1 });
answers($reply, 201, 'a visit');
my $visit = $reply->{json};
my $today = db('SELECT clinicq.service_day()');
is_deeply([@$visit{qw(token_number status visit_date patient queue patient_full_name)}], [1, 'WAITING', $today, $number, $eye, $patient->{name}],
    '... with the first token of today, whatever the client sent');

# The second open one is the same.
for my $queue ($eye, "$eye", " $eye ") {
    $reply = open_visit({ patient => $number, queue => $queue });
    answers($reply, 200, "the same again (queue '$queue'): 200");
    is_deeply($reply->{json}, $visit, '... the visit that is there');
}
is(open_visit({ patient => $number =~ tr/-//dr, queue => $eye })->{json}{id}, $visit->{id}, '... by the number without dashes too');
move($visit, 'start');
$reply = open_visit({ patient => $number, queue => $eye });
is("$reply->{status} $reply->{json}{id} $reply->{json}{status}", "200 $visit->{id} START", '... while it is called, as well');
is(db("SELECT last_token FROM clinicq.token_counter WHERE queue_id = $eye AND service_day = '$today'"), 1, '... and no token was lost');
answers(open_visit({ patient => $number, queue => $dental }), 201, 'another queue: another visit');
move($visit, $_) for qw(in_room done);
my $second = open_visit({ patient => $number, queue => $eye });
answers($second, 201, 'when it is done: another visit');
is($second->{json}{token_number}, 2, '... with the next token');

# Tokens are 1, 2, 3 in each queue; a refused visit takes none.
my $queue = new_queue();
is(new_visit($queue)->{token_number}, $_, "token $_") for 1 .. 3;
refused(open_visit({ patient => '99-99-998', queue => $queue }), 400, ['patient'], 'an unknown patient');
refused(open_visit({ patient => $number, queue => 999_999_999 }), 400, ['queue'], 'an unknown queue');
refused(open_visit({ patient => 'x', queue => 'y' }), 400, [qw(patient queue)], 'both wrong: both named');
refused(open_visit({}), 400, [qw(patient queue)], 'both missing');
is(new_visit($queue)->{token_number}, 4, 'none of them took a token');

# Who opens visits.
refused(open_visit({ patient => $number, queue => $queue }, as => 'doctor'), 403, 'detail', 'a doctor does not');
set_setting('doctors_open_visits', 'on');
answers(open_visit({ patient => new_patient()->{registration_number}, queue => $queue }, as => 'doctor'), 201, '... but where the clinic wants it');
refused(open_visit({ patient => $number, queue => $queue }, as => 'display'), 403, 'detail', '... a display never');
set_setting('doctors_open_visits', 'off');
refused(open_visit({ patient => $number, queue => $queue }, as => 'doctor'), 403, 'detail', '... and no longer when it does not');
answers(open_visit({ patient => new_patient()->{registration_number}, queue => $queue }, as => 'admin'), 201, 'an administrator does');
my $form = call(POST => $visits, as => 'assistant', body => 'patient=' . new_patient()->{registration_number} . "&queue=$queue", type => 'application/x-www-form-urlencoded');
answers($form, 201, 'a form will do');

# The list: by day, queue name and token.
my ($late, $early) = (new_queue(name => new_name('Zz')), new_queue(name => new_name('Aa')));
my @made = map { new_visit($_) } $late, $early, $late, $early;
my %mine = map { $_->{id} => 1 } @made;
is(join(' ', grep { $mine{$_} } map { $_->{id} } @{ list('page_size=500')->{results} }), join(' ', map { $_->{id} } @made[1, 3, 0, 2]), 'by queue name, then token');
for my $role (qw(admin doctor assistant display)) {
    answers(call(GET => $visits, as => $role), 200, "read by $role");
    answers(call(GET => "$visits$visit->{id}/", as => $role), 200, "... one of them too");
}

# Filters.
my $q = new_queue();
my @v = map { new_visit($q) } 0 .. 5;
move($v[1], 'start');
move($v[2], $_) for qw(start in_room);
move($v[3], $_) for qw(start in_room done);
move($v[4], 'cancel');
move($v[5], $_) for qw(start no_show);
my %by = (WAITING => 0, START => 1, IN_ROOM => 2, DONE => 3, CANCELLED => 4, NO_SHOW => 5);
is(ids("queue=$q&status=$_"), $v[$by{$_}]{id}, "status=$_") for sort keys %by;
is(ids("queue=$q"), join(' ', map { $_->{id} } @v), 'no status: all');
is(ids("queue=$q&status=WAITING,START,IN_ROOM"), join(' ', map { $_->{id} } @v[0 .. 2]), 'a list of them');
is(ids("queue=$q&status=%20in_room%20%2C+Waiting,,"), join(' ', map { $_->{id} } @v[0, 2]), '... in any case, with blanks');
is(ids("queue=$q&status=NOWHERE"), '', '... unknown ones match nothing');
is(ids("queue=$q&status=NOWHERE,DONE"), $v[3]{id}, '... beside a known one');
is(ids("queue=+$q%20&status=DONE"), $v[3]{id}, 'a queue with blanks');
is(ids('queue=999999999'), '', 'an unknown queue: nothing');
is(ids('queue=-5'), '', '... or a negative one');
refused(call(GET => "$visits?queue=$_", as => 'doctor'), 400, ['queue'], "queue=$_ is 400") for qw(eye 1.5 1e3 0x1 9223372036854775808 -9223372036854775809 %27 1%2C2 %F0%9F%98%80);
is(list("queue=$q&status=WAITING")->{count}, 1, 'count counts what is filtered');

# Days: today, unless others are asked for, whatever the status.
my $yesterday = db("SELECT '$today'::date - 1");
db("UPDATE clinicq.visit SET service_day = '$yesterday' WHERE id IN ($v[0]{id}, $v[3]{id})");
is(ids("queue=$q"), join(' ', map { $_->{id} } @v[1, 2, 4, 5]), 'yesterday is not today');
is(ids("queue=$q&status=$_"), '', "... for $_ either") for qw(DONE WAITING);
is(ids("queue=$q&date=$yesterday"), join(' ', map { $_->{id} } @v[0, 3]), 'date=');
is(ids("queue=$q&date=$yesterday&status=DONE"), $v[3]{id}, '... with a status');
is(ids("queue=$q&from=$yesterday"), join(' ', map { $_->{id} } @v[0, 3, 1, 2, 4, 5]), 'from=, the oldest first');
is(ids("queue=$q&to=$yesterday"), join(' ', map { $_->{id} } @v[0, 3]), 'to=');
is(ids("queue=$q&from=$today&to=$today"), ids("queue=$q"), 'from= and to=');
is(ids("queue=$q&from=$today&to=$yesterday"), '', '... the wrong way round: nothing');
is(ids("queue=$q&date=1999-12-31"), '', 'a day without visits');
for my $name (qw(date from to)) {
    refused(call(GET => "$visits?$name=$_", as => 'doctor'), 400, [$name], "$name=$_ is 400")
        for qw(yesterday 2026-02-30 2026-13-01 2026-1-1 20260101 2026-01-01T00:00:00Z 0000-01-01 infinity 2026-01-01-1 %D9%A2026-01-0 -001-01-01);
}
refused(call(GET => "$visits?date=x&queue=y&from=z&to=1&cursor=c", as => 'doctor'), 400, [qw(date queue from to cursor)], 'all bad parameters at once');
answers(call(GET => "$visits$v[0]{id}/", as => 'display'), 200, 'a visit of yesterday can be read');

# The clinic's zone and its hour decide what today is.
my $zone = db("SELECT timezone || ' ' || day_starts_at FROM clinicq.clinic ORDER BY id LIMIT 1");
for my $case (['Pacific/Kiritimati', '00:00'], ['Pacific/Pago_Pago', '00:00'], ['UTC', '23:59:59.999999']) {
    my ($timezone, $hour) = @$case;
    db("UPDATE clinicq.clinic SET timezone = '$timezone', day_starts_at = '$hour'");
    my $day = db("SELECT ((now() AT TIME ZONE '$timezone') - time '$hour')::date");
    my $there = new_visit(my $fresh = new_queue());
    is($there->{visit_date}, $day, "in $timezone from $hour on a visit is of $day");
    is($there->{token_number}, 1, '... with a first token');
    is(ids("queue=$fresh"), $there->{id}, '... and in the list of today');
}
db("UPDATE clinicq.clinic SET timezone = 'UTC', day_starts_at = '00:00'");
is(db("SELECT timezone || ' ' || day_starts_at FROM clinicq.clinic ORDER BY id LIMIT 1"), $zone, 'the clinic is as it was');

# What is open from an earlier day is closed when a queue's new day begins.
my $old = new_queue();
my @left = map { new_visit($old) } 1 .. 3;
move($left[1], 'start');
move($left[2], $_) for qw(start in_room);
db("UPDATE clinicq.visit SET service_day = service_day - 1 WHERE queue_id = $old; DELETE FROM clinicq.token_counter WHERE queue_id = $old");
new_visit($old);
is(join(' ', map { call(GET => "$visits$_->{id}/", as => 'doctor')->{json}{status} } @left), 'NO_SHOW DONE DONE', 'yesterday: never called is NO_SHOW, called is DONE');

done_testing;
