# Proves PATCH of a visit: a new visit with the next token of the other queue, linked both ways; what it
# ignores, refuses, and answers when it is sent again. PUT and DELETE are no more.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my ($from, $to) = (new_queue(), new_queue());
sub transfer ($visit, $body, %how) { return call(PATCH => "/api/visits/$visit->{id}/", as => 'assistant', json => $body, %how) }
sub now ($visit) { return call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json} }

new_visit($to) for 1 .. 3;
my $visit = new_visit($from);
my $reply = transfer($visit, { queue => $to });
answers($reply, 200, 'a transfer');
my $new = $reply->{json};
isnt($new->{id}, $visit->{id}, '... answers a new visit');
is_deeply([@$new{qw(queue token_number status patient visit_date)}], [$to, 4, 'WAITING', @$visit{qw(patient visit_date)}], '... with the next token of that queue');
is(now($visit)->{status}, 'TRANSFERRED', '... the old one is TRANSFERRED');
is_deeply([@{ now($visit) }{qw(queue token_number)}], [@$visit{qw(queue token_number)}], '... and keeps its queue and token');
is(db("SELECT o.transferred_to || ' ' || n.transferred_from FROM clinicq.visit o JOIN clinicq.visit n ON n.id = $new->{id} WHERE o.id = $visit->{id}"), "$new->{id} $visit->{id}", '... linked both ways');
my $again = transfer($visit, { queue => $to });
is("$again->{status} $again->{json}{id}", "200 $new->{id}", 'sent again: 200 with the new visit');
is(transfer($visit, { queue => $to }, as => 'admin')->{status}, 409, '... by another user: 409');
is(db("SELECT last_token FROM clinicq.token_counter WHERE queue_id = $to"), 4, '... no further token');
move($new, 'start');
is(transfer($visit, { queue => $to })->{json}{status}, 'START', '... also after it has moved on, with the visit as it is now');

# The same queue, or nothing that can be changed: the visit as it is.
my $other = new_visit($from);
for my $body ({ queue => $from }, { queue => "$from" }, {}, { status => 'DONE', token_number => 7, patient => 'x', visit_date => '2000-01-01' }) {
    $reply = transfer($other, $body);
    ok($reply->{status} == 200, 'nothing to do: 200') && is_deeply($reply->{json}, $other, '... with the visit as it was: ' . join ' ', sort keys %$body);
}

# From which states.
my %steps = (WAITING => [], START => ['start'], IN_ROOM => [qw(start in_room)], DONE => [qw(start in_room done)], NO_SHOW => [qw(start no_show)], CANCELLED => ['cancel']);
for my $state (sort keys %steps) {
    my $one = new_visit($from);
    move($one, $_) for @{ $steps{$state} };
    $reply = transfer($one, { queue => $to });
    if ($state eq 'WAITING' || $state eq 'START') { is("$reply->{status} $reply->{json}{status}", '200 WAITING', "from $state") }
    else { refused($reply, 409, 'detail', "not from $state") && like($reply->{json}{detail}, qr/\b$state\b.*WAITING/, '... naming it') }
}

# Who may, and what is refused; a refusal takes no token.
answers(transfer(new_visit($from), { queue => $to }, as => $_), 200, "by $_") for qw(admin doctor assistant);
$other = new_visit($from);
my $before = snapshot();
refused(transfer($other, { queue => $to }, as => 'display'), 403, 'detail', 'not by a display');
refused(transfer({ id => 999_999_999 }, { queue => $to }), 404, 'detail', 'no such visit');
refused(transfer($other, { queue => $_ }), 400, ['queue'], 'queue ' . (ref || !defined ? json($_) : $_))
    for 999_999_999, 0, -1, '', ' ', 'eye', 1.5, '1.5', undef, [], {}, JSON::PP::true, '9223372036854775808', '1e1';
unchanged($before, 'refused transfers');
my $there = new_visit($to, $other->{patient});
refused(transfer($other, { queue => $to }), 409, 'detail', 'the patient waits there already');
is(new_visit($to)->{token_number}, $there->{token_number} + 1, '... and no token was lost');
is(now($other)->{status}, 'WAITING', '... the visit is where it was');
answers(call(PATCH => "/api/visits/$other->{id}/", as => 'assistant', body => 'queue=' . new_queue(), type => 'application/x-www-form-urlencoded'), 200, 'a form will do');

for my $method (qw(PUT DELETE)) {
    refused(call($method => "/api/visits/$there->{id}/", as => 'admin', json => { queue => $from, patient => $there->{patient} }), 405, 'detail', "$method is 405");
}
is_deeply(now($there), $there, '... and changes nothing');

done_testing;
