# Proves section 2.3 and the administration of queues: the list, who may change it, names, prefixes,
# and that a queue closes only when nobody waits in it.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queues = '/api/queues/';
sub names { return map { $_->{name} } @{ call(GET => $queues, as => 'display')->{json} } }

my $word = new_name('Queue');
my $reply = call(POST => $queues, as => 'admin', json => { name => "  $word é😀 ", token_prefix => 'AB12', id => 5, closed_at => 1 });
answers($reply, 201, 'an administrator creates a queue');
my $queue = $reply->{json};
is("$queue->{name}|$queue->{token_prefix}", "$word é😀|AB12", '... its name trimmed, with a prefix');
isnt($queue->{id}, 5, '... its id is not for the client to choose');
is_deeply(call(GET => "$queues$queue->{id}/", as => 'display')->{json}, $queue, '... and everybody reads it');
is(call(POST => $queues, as => 'admin', json => { name => "$word two" })->{json}{token_prefix}, '', 'the prefix is optional');
is_deeply([names()], [map { $_->[0] } db_rows('SELECT name FROM clinicq.queue WHERE closed_at IS NULL ORDER BY name, id')], 'the list is by name');
refused(call(POST => $queues, as => 'admin', json => { name => uc "$word é😀" }), 409, 'detail', 'two open queues cannot share a name, in whatever case');
refused(call(PATCH => "$queues$queue->{id}/", as => 'admin', json => { name => "$word two" }), 409, 'detail', '... by a change either');

is(call(PATCH => "$queues$queue->{id}/", as => 'admin', json => { name => "$word three" })->{json}{name}, "$word three", 'a new name');
is(call(PATCH => "$queues$queue->{id}/", as => 'admin', json => { token_prefix => '' })->{json}{token_prefix}, '', 'a prefix taken away');
is(call(PATCH => "$queues$queue->{id}/", as => 'admin', json => { token_prefix => 'Z' })->{json}{name}, "$word three", '... leaves the name');
answers(call(PATCH => "$queues$queue->{id}/", as => 'admin', json => {}), 200, 'nothing to change');
is(new_visit($queue->{id})->{queue_name}, "$word three", 'visits show the name as it is now');

for my $role (qw(doctor assistant display)) {
    refused(call(POST => $queues, as => $role, json => { name => 'x' }), 403, 'detail', "$role creates none");
    refused(call(PATCH => "$queues$queue->{id}/", as => $role, json => { name => 'x' }), 403, 'detail', "$role changes none");
    refused(call(DELETE => "$queues$queue->{id}/", as => $role), 403, 'detail', "$role closes none");
}

# Closing.
my $closing = call(POST => $queues, as => 'admin', json => { name => "$word closing" })->{json}{id};
my $visit = new_visit($closing);
my $before = snapshot();
for my $state (qw(WAITING START IN_ROOM)) {
    refused(call(DELETE => "$queues$closing/", as => 'admin'), 409, 'detail', "not closed while a visit is $state");
    move($visit, { WAITING => 'start', START => 'in_room', IN_ROOM => 'done' }->{$state});
}
$reply = call(DELETE => "$queues$closing/", as => 'admin');
is("$reply->{status}|" . ($reply->{content} // ''), '204|', 'closed when they are done');
refused(call(GET => "$queues$closing/", as => 'admin'), 404, 'detail', '... it is gone');
ok(!grep({ $_ eq "$word closing" } names()), '... from the list too');
refused(call(DELETE => "$queues$closing/", as => 'admin'), 404, 'detail', '... once');
refused(call(PATCH => "$queues$closing/", as => 'admin', json => { name => 'x' }), 404, 'detail', '... and is not changed');
refused(call(POST => '/api/visits/', as => 'assistant', json => { patient => $visit->{patient}, queue => $closing }), 400, ['queue'], '... and takes no visit');
refused(call(PATCH => '/api/visits/' . new_visit($queue->{id})->{id} . '/', as => 'assistant', json => { queue => $closing }), 400, ['queue'], '... nor a transfer');
is(call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json}{queue_name}, "$word closing", 'its visits remain');
answers(call(POST => $queues, as => 'admin', json => { name => "$word closing" }), 201, 'its name is free again');
is(db("SELECT count(*) FROM clinicq.audit_event WHERE entity = 'queue' AND entity_id = '$closing' AND actor_name = 'admin' AND door = 'http'"), 2, 'opening and closing are in the audit log');

done_testing;
