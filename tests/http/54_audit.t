# Proves the audit log over HTTP: who may read it, its filters and their faults, pages by cursor, the
# history of a patient with looks and refusals, what is kept from administrators, and that reading it
# is recorded itself.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $auditor = new_user('auditor');
sub audit ($filter = '', %how) { return call(GET => "/api/audit/?$filter", token => $auditor->{token}, %how) }
sub rows ($filter) { return @{ audit($filter)->{json}{results} } }
my $last = 'Qq' . lc new_name('z') =~ tr/ //dr;
my $patient = new_patient(name => "Opal $last");
my $number = $patient->{registration_number};
my $id = db("SELECT id FROM clinicq.patient WHERE registration_number = '$number'");
my $visit = new_visit(new_queue(), $number);
call(GET => "/api/patients/$number/", as => 'doctor', headers => { 'X-Request-Id' => "look-$id" });
move($visit, 'start');
answers(call(DELETE => "/api/patients/$number/", as => 'assistant'), 403, 'a refusal');

# Who.
for my $role (qw(doctor assistant display)) {
    refused(call(GET => '/api/audit/', as => $role), 403, 'detail', "$role may not");
}
answers(call(GET => '/api/audit/', as => 'admin'), 200, 'an administrator may');
refused(call(GET => '/api/audit/'), 401, 'detail', 'nobody without a token');
my $reply = audit();
is(join(' ', sort keys %{ $reply->{json} }), 'next results', 'a page has next and results');
is($reply->{headers}{'cache-control'}, 'no-store', '... that nobody keeps');
is(join(' ', sort keys %{ $reply->{json}{results}[0] }), 'action actor_id actor_name at changes client door entity entity_id id outcome request_id roles transaction_id', 'an event has these keys');

# The patient.
my @history = reverse rows("patient=$number");
is(join(', ', map { "$_->{action} " . ($_->{action} eq 'REFUSED' ? $_->{outcome} : $_->{entity}) } grep { $_->{outcome} ne 'history' } @history),
    'INSERT patient, INSERT visit, READ patient, UPDATE visit, REFUSED 42501', 'the history of a patient, by whatever way');
is($history[0]{changes}{name}{new}, "Opal $last", '... with what stood there');
is($history[3]{changes}{status}{old} . ' ' . $history[3]{changes}{status}{new}, 'WAITING START', '... and what changed');
is_deeply([map { $_->{client} } @history[0 .. 4]], [('127.0.0.1') x 5], '... from where');
my ($look) = grep { $_->{action} eq 'READ' && $_->{outcome} eq 'done' } @history;
is("$look->{actor_name} $look->{door} $look->{request_id}", "doctor http look-$id", '... who looked, by which request');
is(scalar(rows('patient=' . $number =~ tr/-//dr)), scalar(@history) + 1, 'without dashes the same, and the look into it');

# Filters.
my ($insert) = grep { $_->{action} eq 'INSERT' && $_->{entity} eq 'patient' } @history;
my $at = $insert->{at};
my %filter = (
    "entity=patient&entity_id=$id&action=INSERT" => 1, "entity=visit&entity_id=$visit->{id}&outcome=done&actor=doctor" => 1, "request_id=look-$id" => 1, "entity_id=$id&entity=patient&actor=assistant" => 1,
    "patient=$number&from=$at&to=$at" => 0, "patient=$number&action=INSERT&from=$at" => 2, "patient=$number&action=INSERT&to=$at" => 0, "patient=$number&client=127.0.0.1&action=INSERT" => 2,
    "patient=$number&client=::1" => 0, "patient=$number&door=psql" => 0, "patient=$number&action=INSERT&from=2026-01-01" => 2, 'actor=' => undef, 'actor=nobody' => 0, 'entity_id=%27' => 0,
);
for my $filter (sort keys %filter) {
    my $page = audit($filter);
    ok($page->{status} == 200 && (!defined $filter{$filter} || @{ $page->{json}{results} } == $filter{$filter}), "?$filter") or diag(substr $page->{content}, 0, 2000);
}
my $moment = $at =~ s/Z$//r;
is(scalar(rows("patient=$number&action=INSERT&from=${moment}$_")), 2, "a time with $_") for 'Z', '%2B00:00', '-00:00', '+00:00';
is(scalar(rows("patient=$number&action=INSERT&from=${moment}-01:00")), 0, 'a time elsewhere');
for my $bad (['from', 'x'], ['from', '2026-02-30'], ['from', '2026-11-20T25:00:00Z'], ['from', '2026-11-20T10:00:00'], ['to', 'now'], ['to', '2026-11-20T10:00:00.1234567890123456789x'], ['to', '0000-01-01'],
    ['client', 'x'], ['client', '127.0.0.1/8'], ['client', '300.1.1.1'], ['cursor', 'x'], ['cursor', '1'], ['cursor', '1.x'], ['cursor', '9999999999999999999.1'], ['cursor', '9223372036854775807.1'], ['patient', '98-98-998'], ['patient', "'"]) {
    refused(audit("$bad->[0]=$bad->[1]"), 400, [$bad->[0]], "?$bad->[0]=$bad->[1]");
}
refused(audit('from=x&to=y&client=z&patient=q&cursor=c'), 400, [qw(from to client patient cursor)], 'all that is wrong is named');

# Pages.
my $filter = "entity=patient&from=$at";
new_patient() for 1 .. 7;
my (@walked, %links);
for (my $path = "/api/audit/?$filter&action=INSERT&page_size=2"; defined $path && @walked < 500;) {
    my $page = call(GET => $path, token => $auditor->{token});
    push @walked, map { $_->{id} } @{ $page->{json}{results} };
    $links{ defined $page->{json}{next} ? $page->{headers}{link} eq "<$page->{json}{next}>; rel=\"next\"" : !defined $page->{headers}{link} }++;
    $path = defined $page->{json}{next} ? $page->{json}{next} =~ s/^\Q$ENV{CLINICQ_URL}\E//r : undef;
}
is_deeply(\@walked, [map { $_->[0] } db_rows("SELECT id FROM clinicq.audit_event WHERE entity = 'patient' AND action = 'INSERT' AND at >= '$at' ORDER BY at DESC, id DESC")], 'walked by next: each once, the newest first');
is_deeply([keys %links], [1], '... with a Link header wherever there is a next');
is(scalar @{ audit('page_size=100000')->{json}{results} } <= 500, 1, '500 a page at the most');

# A restricted patient.
call(PATCH => "/api/patients/$number/access/", as => 'admin', json => { restricted => JSON::PP::true });
call(GET => "/api/patients/search/?q=$last", as => 'doctor');
for my $place ("patient=$number", "entity_id=$id", "from=$at&page_size=500", 'action=SEARCH') {
    my $reply = call(GET => "/api/audit/?$place", as => 'admin');
    ok($reply->{status} == 200 && @{ $reply->{json}{results} } && $reply->{content} !~ /\Q$last\E/, "?$place tells an administrator nothing of a restricted patient");
}
like(audit("patient=$number&action=INSERT")->{content}, qr/\Q$last\E/, 'an auditor sees it');

# The log of the log.
ok((grep { $_->{entity} eq 'audit_event' && ($_->{changes}{actor} // '') eq 'nobody' } rows("actor=$auditor->{username}&entity=audit_event&page_size=500")), 'reading the log is in the log, with what was asked for');
ok((grep { $_->{outcome} eq 'history' && $_->{actor_name} eq $auditor->{username} } rows("patient=$number")), '... a history in that of the patient');

done_testing;
