# Proves that refusals reach the audit log although their transaction was rolled back, before the client has
# its answer; that equal ones are one event with a count; that bad input and missing records are no
# refusals; and that an answer still goes out, and is counted, when the refusal cannot be recorded.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue();
my $visit = new_visit($queue);
my $number = $visit->{patient};

# What was refused since the last call, as "actor entity id outcome xcount".
sub refused_now () {
    return join '; ', map { join ' ', @$_ } db_rows(q{
        WITH gone AS (DELETE FROM clinicq.audit_tally WHERE action = 'REFUSED' RETURNING *)
        SELECT actor_name, entity, coalesce(entity_id, '-'), outcome, 'x' || count FROM gone ORDER BY first_at, entity});
}
token($_) for qw(admin doctor assistant display);
refused_now();

# Role.
refused(call(DELETE => "/api/patients/$number/", as => 'assistant', headers => { 'X-Request-Id' => 'refused-1' }), 403, 'detail', 'an assistant who removes a patient');
is(join(' ', @{ (db_rows(q{SELECT roles, door, host(client), request_id, action FROM clinicq_audit.event WHERE action = 'REFUSED' AND id IS NULL}))[0] }),
    '{assistant} http 127.0.0.1 refused-1 REFUSED', '... is in the audit log when he is answered');
call(DELETE => "/api/patients/$number/", as => 'assistant') for 1, 2;
is(refused_now(), "assistant DELETE /api/patients/{registration_number}/ $number 42501 x3", '... and thrice is one event with a count');
refused(call(GET => '/api/users/', as => 'display'), 403, 'detail', 'a list without a path value');
call(POST => '/api/visits/', as => 'display', json => { patient => $number, queue => $queue });
is(refused_now(), 'display GET /api/users/ - 42501 x1; display POST /api/visits/ - 42501 x1', '... by route');
is(call(HEAD => '/api/users/', as => 'display')->{status}, 403, 'HEAD');
is(refused_now(), 'display GET /api/users/ - 42501 x1', '... is GET');

# Rule.
refused(move($visit, 'done'), 409, 'detail', 'a move from the wrong state');
is(refused_now(), "doctor PATCH /api/visits/{id}/done/ $visit->{id} QC409 x1", '... is recorded');
refused(call(DELETE => "/api/patients/$number/", as => 'doctor'), 409, 'detail', 'a patient with an open visit');
is(refused_now(), "doctor DELETE /api/patients/{registration_number}/ $number QC409 x1", '... likewise');

# Something has to be done first.
my $generated = done_json(call(POST => '/api/users/', as => 'admin', json => { username => 'first.things', roles => ['assistant'] }));
my $first = login('first.things', $generated->{password})->{json}{token};
refused_now();
refused(call(GET => '/api/patients/', headers => { Authorization => "Token $first" }), 403, 'detail', 'a one-time password that was not changed');
is(refused_now(), 'first.things GET /api/patients/ - QC403 x1', '... is recorded');
sub done_json ($reply) { die $reply->{content} if $reply->{status} != 201; return $reply->{json} }

# A refusal before the real call, which is its own call.
is(call(POST => '/api/auth/password/', json => { old_password => 'x', password => 'y' })->{status}, 401, 'no token');
is(call(GET => '/api/patients/', headers => { Authorization => 'Token ' . '0' x 64 })->{status}, 401, 'a token that is none');
is(call(GET => '/api/patients/77-77-777/', as => 'assistant')->{status}, 404, 'a patient who is not there');
is(call(POST => '/api/patients/', as => 'assistant', json => { name => '' })->{status}, 400, 'a bad field');
is(call(DELETE => '/api/visits/', as => 'admin')->{status}, 405, 'a method that is not there');
is(call(GET => '/api/nowhere/', as => 'admin')->{status}, 404, 'a path that is not there');
is(refused_now(), '', '... are no refusals');

# When it cannot be recorded: the table is locked for longer than a write waits.
my $shim = start_shim(CLINICQ_REQUEST_TIMEOUT_MS => 1500);
sub unrecorded () { return HTTP::Tiny->new->get("$shim->{metrics}/metrics")->{content} =~ /^clinicq_refusals_unrecorded_total (\d+)$/m ? $1 : -1 }
is(unrecorded(), 0, 'none was lost');
is(call(GET => '/api/users/', as => 'display', url => $shim->{url})->{status}, 403, 'the shim is warm');
refused_now();
my $pid = fork // die;
if (!$pid) {
    db('BEGIN; LOCK TABLE clinicq.audit_tally IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT');
    POSIX::_exit(0);
}
wait_for(5, sub { db(q{SELECT count(*) FROM pg_locks WHERE relation = 'clinicq.audit_tally'::regclass AND mode = 'AccessExclusiveLock' AND granted}) eq '1' });
my $began = time;
refused(call(GET => '/api/users/', as => 'display', url => $shim->{url}), 403, 'detail', 'the refusal is still the answer');
cmp_ok(time - $began, '<=', 4, '... in the time that a request has');
is(unrecorded(), 1, '... the loss is counted');
ok((grep { /a refusal could not be recorded/ } log_lines($shim->{log})), '... and logged');
waitpid $pid, 0;
is(call(GET => '/api/users/', as => 'display', url => $shim->{url})->{status}, 403, 'later');
is(unrecorded(), 1, '... they are recorded again');
is($shim->stop, 0, 'the shim ends');
refused_now();

# Looks over HTTP, through the same tables.
db(q{DELETE FROM clinicq.audit_tally});
call(GET => "/api/patients/$number/", as => 'display') for 1 .. 5;
call(GET => '/api/visits/', as => 'display');
is(join('; ', map { join ' ', @$_ } db_rows(q{SELECT actor_name, action, entity, changes->'count' FROM clinicq_audit.event WHERE id IS NULL})), 'display READ patient 5',
    'a board that asks five times for a patient is one event');

done_testing;
