# Proves conditional requests (RFC 9110, sections 8.8 and 13): each read has a strong ETag that changes
# with what is shown, If-None-Match spares the body, and If-Match lets no change be lost.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

sub etag_of ($reply) { return $reply->{headers}{etag} // '' }
sub get ($path, $role = 'doctor', %headers) { return call(GET => $path, as => $role, headers => \%headers) }
sub change ($method, $path, $role, $match, %how) {
    return call($method => $path, as => $role, %how, headers => { 'If-Match' => $match });
}

my $name = new_name('Etag');
my $number = new_patient(name => $name)->{registration_number};
my $queue = new_queue(name => my $queue_name = new_name('Etags'));
my $visit = new_visit($queue, $number);
my %at = (patient => "/api/patients/$number/", queue => "/api/queues/$queue/", visit => "/api/visits/$visit->{id}/");

# Reads.
for my $path (sort(values %at), '/api/patients/', "/api/patients/search/?q=$number", "/api/visits/?queue=$queue", '/api/queues/', '/api/auth/me/') {
    my $first = get($path);
    like(etag_of($first), qr/^"[0-9a-f]{16}"$/, "GET $path has a strong ETag");
    is($first->{headers}{'cache-control'}, 'no-store', '... and is kept by nobody who was not told to');
    is(etag_of(get($path)), etag_of($first), '... the same for the same');
    my $again = get($path, 'doctor', 'If-None-Match' => etag_of($first));
    is($again->{status}, 304, '... 304 for who has it');
    is($again->{content} // '', '', '... without a body');
    is(etag_of($again), etag_of($first), '... with the ETag');
    is($again->{headers}{'cache-control'}, 'no-store', '... and no-store');
    my $head = call(HEAD => $path, as => 'doctor');
    is(etag_of($head), etag_of($first), '... HEAD has it too');
    is(call(HEAD => $path, as => 'doctor', headers => { 'If-None-Match' => etag_of($first) })->{status}, 304, '... and 304');
}
{
    my $tag = etag_of(get($at{visit}));
    is(get($at{visit}, 'doctor', 'If-None-Match' => $_->[0])->{status}, $_->[1], "If-None-Match: $_->[0] is $_->[1]")
        for (map { [$_, 304] } '*', "W/$tag", qq{"a", $tag}, qq{"a",W/"b" , $tag,"c"}, qq{, , $tag}),
        (map { [$_, 200] } qq{"a"}, $tag =~ tr/"//dr, qq{"a, b"}, qq{"unclosed}, "w/$tag", ',', "x$tag", '"' . 'a' x 900 . '"');
    my $two = wire("GET $at{visit} HTTP/1.1\r\nHost: a\r\nAuthorization: Token " . token('doctor') . qq{\r\nIf-None-Match: "a"\r\nIf-None-Match: $tag\r\nConnection: close\r\n\r\n});
    is($two->{status}, 304, 'the header may come in two lines');
    my $whole = length get($at{visit})->{content};
    for my $method (qw(GET HEAD)) {
        my $alone = wire("$method $at{visit} HTTP/1.1\r\nHost: a\r\nAuthorization: Token " . token('doctor') . qq{\r\nIf-None-Match: $tag\r\nConnection: close\r\n\r\n})->{bytes};
        like($alone, qr/^Content-Length: $whole\r\n/m, "a 304 to $method has the length of the 200 (RFC 9110, 8.6)");
        like($alone, qr/\A(?:[^\r]+\r\n)+\r\n\z/, '... and ends with its head');
    }
    is(wire("GET $at{visit} HTTP/1.1\r\nHost: a\r\nAuthorization: Token " . token('doctor') . qq{\r\nIf-None-Match: "\xff\xc3", $tag\r\nConnection: close\r\n\r\n})->{status}, 304, 'bytes that are no ASCII belong to another tag');
}
answers(get('/api/visits/999999999/', 'doctor', 'If-None-Match' => '*'), 404, 'what is not there is 404 all the same');
answers(call(GET => $at{visit}, headers => { 'If-None-Match' => '*' }), 401, 'without a token 401');

# It changes with whatever is shown, wherever that stands.
sub changes ($path, $role, $what, $do) {
    my $before = etag_of(get($path, $role));
    $do->();
    my $after = get($path, $role, 'If-None-Match' => $before);
    is($after->{status}, 200, "$what: another representation of $path");
    isnt(etag_of($after), $before, '... another ETag');
    return;
}
my $list = "/api/visits/?queue=$queue";
for my $path ($at{visit}, $list) {
    changes($path, 'doctor', "the patient's name", sub { call(PATCH => $at{patient}, as => 'assistant', json => { name => new_name('Etag') }) });
    changes($path, 'doctor', "the queue's name", sub { call(PATCH => $at{queue}, as => 'admin', json => { name => new_name('Etags') }) });
    changes($path, 'display', 'how a board shows names', sub { set_setting('display_names', db("SELECT value = 'full' FROM clinicq.setting WHERE name = 'display_names'") eq 't' ? 'initials' : 'full') });
}
changes($at{visit}, 'doctor', 'a move', sub { move($visit, 'start') });
changes($at{visit}, 'doctor', 'restriction', sub { db("SELECT clinicq.restrict_patient('$number')") });
changes($list, 'doctor', 'its end', sub { db("SELECT clinicq.unrestrict_patient('$number')") });
changes($list, 'doctor', 'another visit', sub { new_visit($queue) });
changes($at{patient}, 'doctor', 'a visit that came to it', sub { new_visit(new_queue(), $number) });
changes('/api/queues/', 'doctor', 'a new queue', sub { new_queue() });
set_setting('display_names', 'initials');
isnt(etag_of(get($at{visit}, 'display')), etag_of(get($at{visit})), 'who sees other names has another ETag');

# Changes, only of what one has seen. Each reply brings the next ETag.
{
    my $seen = etag_of(get($at{patient}));
    my $done = change(PATCH => $at{patient}, 'assistant', $seen, json => { phone => '1' });
    answers($done, 200, 'If-Match that holds');
    is(etag_of($done), etag_of(get($at{patient}, 'assistant')), '... the reply has the ETag of the new state');
    my $before = snapshot();
    refused(change(PATCH => $at{patient}, 'assistant', $seen, json => { phone => '2' }), 412, 'detail', 'one that no longer fits: 412');
    my $problem = call(PUT => $at{patient}, as => 'assistant', accept => 'application/problem+json', headers => { 'If-Match' => $seen }, json => { name => $name });
    is("$problem->{status} $problem->{json}{type}", '412 /problems/precondition-failed', '... with its problem type, for PUT too');
    refused(change(DELETE => $at{patient}, 'doctor', '"0000000000000000"'), 409, 'detail', 'a refusal of its own goes first: 409');
    refused(change(PATCH => $at{patient}, 'display', $seen, json => {}), 403, 'detail', '... 403');
    refused(change(PATCH => $at{patient}, 'assistant', $seen, json => { gender => 'X' }), 400, ['gender'], '... 400');
    refused(change(PATCH => '/api/patients/99-99-998/', 'assistant', '*', json => { name => 'x' }), 404, 'detail', '... 404, for * as well');
    refused(change(PATCH => $at{patient}, 'assistant', $_, json => { phone => '3' }), 412, 'detail', "If-Match: $_ names nothing")
        for 'W/' . etag_of($done), 'nonsense', '"nonsense"', ',', '"';
    unchanged($before, 'refused changes');
    my $any = change(PATCH => $at{patient}, 'assistant', '*', json => { phone => '4' });
    answers($any, 200, 'If-Match: * names whatever there is');
    answers(change(PATCH => $at{patient}, 'assistant', '"a", W/"b" ,' . etag_of($any), json => { phone => '5' }), 200, '... and a list one of it');
}
{
    my $seen = etag_of(get($at{visit}));
    my $moved = change(PATCH => "$at{visit}in_room/", 'doctor', $seen);
    answers($moved, 200, 'a move of the visit that was seen');
    is(etag_of($moved), etag_of(get($at{visit})), '... the reply has the new ETag');
    my $before = snapshot();
    answers(change(PATCH => "$at{visit}done/", 'doctor', $seen), 412, '... one of how it was before: 412');
    answers(change(PATCH => "$at{visit}done/", 'assistant', $seen), 403, '... 403 goes first');
    unchanged($before, 'a move that is refused');
    answers(change(PATCH => "$at{visit}done/", 'doctor', etag_of($moved)), 200, '... of how it is now: done');
}
{
    my $seen = etag_of(get($at{queue}, 'admin'));
    answers(change(PATCH => $at{queue}, 'admin', $seen, json => { token_prefix => 'E' }), 200, 'a queue that was seen');
    answers(change(PATCH => $at{queue}, 'admin', $seen, json => { token_prefix => 'F' }), 412, '... has changed since');
    is(get($at{queue})->{json}{token_prefix}, 'E', '... and keeps what the first one wrote');
    is(etag_of(call(POST => "$at{queue}call_next/", as => 'doctor')), '', 'what is said about a queue has no ETag that could be taken for the queue\'s');
    is(etag_of(call(PATCH => "$at{patient}access/", as => 'admin', json => { restricted => JSON::PP::false() })), '', '... nor what is said about a patient');
    my $gone = new_queue();
    answers(change(DELETE => "/api/queues/$gone/", 'admin', '"0"'), 412, 'nor is one closed that has changed');
    answers(change(DELETE => "/api/queues/$gone/", 'admin', etag_of(get("/api/queues/$gone/", 'admin'))), 204, '... but one that was seen');
}
is(db("SELECT count(*) FROM clinicq.audit_event WHERE action = 'REFUSED' AND detail::text LIKE '%QC412%'"), 0, 'a 412 is no matter for the audit log')
    if db("SELECT count(*) FROM information_schema.columns WHERE table_name = 'audit_event' AND column_name = 'detail'");

# Of many who change what they all saw, one succeeds.
{
    my $seen = etag_of(get($at{patient}));
    my @replies = map { parse_reply(scalar read_all($_)) } map {
        my $socket = connect_to();
        my $body = json({ phone => "77$_" });
        syswrite $socket, "PATCH $at{patient} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token " . token('assistant')
            . "\r\nIf-Match: $seen\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        $socket;
    } 1 .. 16;
    is(join(' ', sort map { $_->{status} } @replies), join(' ', 200, (412) x 15), 'sixteen at once: one change, fifteen are told');
}

done_testing;
