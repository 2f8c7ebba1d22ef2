# Proves that a write with an Idempotency-Key is done once, however often and by however many it is
# sent, that its reply comes again, and that nothing secret or of others is kept or shown by it.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use List::Util qw(shuffle);
use Test::More;

my $serial = 0;
sub new_key { return sprintf 'key-%d-%d-%s', $$, ++$serial, join '', map { ('a' .. 'z')[rand 26] } 1 .. 12 }
sub keyed ($key, $method, $path, $role, %how) {
    return call($method => $path, as => $role, %how, headers => { 'Idempotency-Key' => $key, %{ $how{headers} // {} } });
}
sub type_of ($key, $method, $path, $role, %how) {
    my $reply = keyed($key, $method, $path, $role, %how, accept => 'application/problem+json');
    return "$reply->{status} " . (($reply->{json} // {})->{type} // '') =~ s{.*/}{}r;
}
sub replayed ($reply) { return ($reply->{headers}{'idempotency-replayed'} // '') eq 'true' }
sub stored ($key) { return (db_rows("SELECT status, reply::text, headers::text, encode(fingerprint, 'hex') FROM clinicq.idempotency_key WHERE key = '$key'"))[0] }

# Once, and the same reply again.
my $queue = new_queue();
{
    my ($key, $body) = (new_key(), { name => new_name('Once'), phone => '0700' });
    my $first = keyed($key, POST => '/api/patients/', 'assistant', json => $body);
    answers($first, 201, 'a write with a key');
    ok(!replayed($first), '... the first time');
    my $again = keyed($key, POST => '/api/patients/', 'assistant', json => $body);
    is($again->{status}, 201, 'repeated: the same status');
    is($again->{content}, $first->{content}, '... the same body');
    is($again->{headers}{etag}, $first->{headers}{etag}, '... the same headers');
    ok(replayed($again), '... and says so');
    is(db("SELECT count(*) FROM clinicq.patient WHERE name = '$body->{name}'"), 1, '... one patient');
    ok(replayed(keyed(qq{"$key"}, POST => '/api/patients', 'assistant', body => qq{ {"phone":"0700" ,\n"name":"$body->{name}"} })), 'the key as a string, another path of the same route, the same body in other words: the same request');
    ok(replayed(keyed($key, POST => '/api/patients/', 'assistant', body => "name=$body->{name}&phone=0700" =~ tr/ /+/r, type => 'application/x-www-form-urlencoded')), '... as a form too');
    is(type_of($key, POST => '/api/patients/', 'assistant', json => { %$body, phone => '1' }), '422 key-reused', 'another body: 422');
    is(type_of($key, POST => '/api/patients/?a=1', 'assistant', json => $body), '422 key-reused', '... another query');
    is(type_of($key, POST => '/api/visits/', 'assistant', json => $body), '422 key-reused', '... another route');
    is(type_of($key, PATCH => "/api/patients/$first->{json}{registration_number}/", 'assistant', json => $body), '422 key-reused', '... another method');
    refused(keyed($key, POST => '/api/patients/', 'assistant', json => {}), 422, 'detail', '... in the shape that apps read');
    answers(keyed($key, POST => '/api/patients/', 'assistant', body => '{'), 400, '... a body that is none is 400');
    my $other = keyed($key, POST => '/api/patients/', 'doctor', json => $body);
    is($other->{status}, 201, 'the key of another user: never met before');
    isnt($other->{json}{registration_number}, $first->{json}{registration_number}, '... another patient');
    answers(call(POST => '/api/patients/', json => $body, headers => { 'Idempotency-Key' => $key }), 401, 'without a token 401');
}
# A body that is empty, a path value, a reply without body.
{
    my ($visit, $other) = map { new_visit($queue) } 1 .. 2;
    my ($key, $cancel) = (new_key(), new_key());
    is(keyed($key, PATCH => "/api/visits/$visit->{id}/start/", 'doctor')->{json}{status}, 'START', 'a move');
    is(keyed(new_key(), PATCH => "/api/visits/$visit->{id}/send_back_to_waiting/", 'doctor')->{json}{status}, 'WAITING', '... and back');
    my $again = keyed($key, PATCH => "/api/visits/$visit->{id}/start/", 'doctor');
    is("$again->{status} $again->{json}{status} " . replayed($again), '200 START 1', 'repeated: the reply of then');
    is(call(GET => "/api/visits/$visit->{id}/", as => 'doctor')->{json}{status}, 'WAITING', '... and nothing is moved');
    is(type_of($key, PATCH => "/api/visits/$other->{id}/start/", 'doctor'), '422 key-reused', 'of another visit: 422');
    my ($gone, $closing) = (new_queue(), new_key());
    is(keyed($closing, DELETE => "/api/queues/$gone/", 'admin')->{status}, 204, 'a reply without a body');
    my $closed = keyed($closing, DELETE => "/api/queues/$gone/", 'admin');
    is("$closed->{status} " . replayed($closed), '204 1', '... comes again');
    answers(keyed(new_key(), DELETE => "/api/queues/$gone/", 'admin'), 404, '... with a new key it is 404');
    my $tag = call(GET => "/api/visits/$other->{id}/", as => 'doctor')->{headers}{etag};
    my $match = new_key();
    is(keyed($match, PATCH => "/api/visits/$other->{id}/start/", 'doctor', headers => { 'If-Match' => $tag })->{status}, 200, 'with If-Match');
    is(keyed($match, PATCH => "/api/visits/$other->{id}/start/", 'doctor', headers => { 'If-Match' => $tag })->{status}, 200, '... which held the first time');
}

# Refusals roll back with their transaction, so a repeat is tried again.
{
    my ($key, $name) = (new_key(), new_name('Later'));
    my $visit = new_visit($queue);
    answers(keyed($key, PATCH => "/api/visits/$visit->{id}/done/", 'doctor'), 409, 'a move that is not possible');
    is(stored($key), undef, '... is not kept');
    move($visit, $_) for qw(start in_room);
    answers(keyed($key, PATCH => "/api/visits/$visit->{id}/done/", 'doctor'), 200, '... and done once it is');
    my $typed = new_key();
    refused(keyed($typed, POST => '/api/patients/', 'assistant', json => { name => '' }), 400, ['name'], 'bad fields');
    answers(keyed($typed, POST => '/api/patients/', 'assistant', json => { name => $name }), 201, '... may be put right under the same key');
    answers(keyed(new_key(), POST => '/api/queues/', 'doctor', json => { name => $name }), 403, 'a role that may not');
}

# What a key may be.
{
    my $body = { name => new_name('Keys') };
    for my $key ('x', '!~#', 'a' x 255, qq{"${\ new_key()}"}, qq{"a\\"b\\\\c$$"}, '"' . 'b' x 255 . '"', '\\', "'") {
        my $reply = keyed($key, POST => '/api/patients/', 'assistant', json => $body);
        like($reply->{status}, qr/^20[01]$/, 'key ' . substr($key, 0, 30)) or diag($reply->{content});
    }
    ok(replayed(keyed(qq{"x"}, POST => '/api/patients/', 'assistant', json => $body)), 'x and "x" are one key');
    for my $key ('a' x 256, '""', '"', '"a', '"a"b"', '"a\\b"', '"a b"', 'a b', '"a";p=1', "a\tb", 'c' x 5000) {
        my $reply = keyed($key, POST => '/api/patients/', 'assistant', json => $body);
        is($reply->{status}, 400, 'no key: ' . substr($key, 0, 30));
        like($reply->{json}{detail}, qr/^Idempotency-Key: /, '... names the header');
        is(keyed($key, GET => '/api/queues/', 'doctor')->{status}, 200, '... a read does not look at it');
    }
    my $raw = sub ($lines) {
        my $bytes = json({ name => new_name('Raw') });
        return wire("POST /api/patients/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token " . token('assistant')
            . "\r\nContent-Type: application/json\r\n${lines}Content-Length: " . length($bytes) . "\r\n\r\n$bytes")->{status};
    };
    is($raw->("Idempotency-Key: \xc3\xa4\r\n"), 400, 'bytes that are no ASCII');
    is($raw->("Idempotency-Key: a\xff\r\n"), 400, '... nor text');
    is($raw->("Idempotency-Key: \r\n"), 400, 'an empty one');
    is($raw->("Idempotency-Key: a1\r\nIdempotency-Key: a2\r\n"), 400, 'two');
}

# Secrets: neither the reply nor a hash of the body is stored; that it was done is known.
{
    my ($key, $login) = (new_key(), new_key());
    my $user = { username => new_name('keyed') =~ tr/ /./r, roles => ['doctor'] };
    my $first = keyed($key, POST => '/api/users/', 'admin', json => $user);
    answers($first, 201, 'a user with a generated password');
    ok(length $first->{json}{password}, '... which is told');
    is(type_of($key, POST => '/api/users/', 'admin', json => $user), '409 done-before', '... once; a repeat: 409');
    is(join('|', map { $_ // '' } @{ stored($key) }), '|||', '... nothing of it is stored');
    is(db("SELECT count(*) FROM clinicq.app_user WHERE username = '$user->{username}'"), 1, '... one user');
    my ($name, $password) = ($user->{username}, $first->{json}{password});
    my ($one, $two) = map { login($name, $password, headers => { 'Idempotency-Key' => $login }) } 1 .. 2;
    isnt($one->{json}{token}, $two->{json}{token}, 'a log-in is none the less a new one each time');
    is(stored($login), undef, '... and leaves no trace under the key');
    my @open = db_rows(q{SELECT method, path FROM clinicq.route WHERE NOT secret AND method <> 'GET' AND (path ~ '/(password|totp|login|refresh)/' OR function ~ 'password|totp|log_in|refresh|create_user') AND function <> 'clinicq_api.reset_totp'});
    is_deeply(\@open, [], 'every route that takes or gives a secret is marked');
    is(db(qq{SELECT count(*) FROM clinicq.idempotency_key WHERE reply::text ~ 'password"|"(token|access|refresh)" ?: ?"[0-9A-Za-z_.-]{32}|"secret"|otpauth'}), 0, 'no stored reply holds one');
}
# Who has lost a role does not get what it let see.
{
    my ($user, $key, $body) = (new_user('assistant'), new_key(), { name => new_name('Seen') });
    is(call(POST => '/api/patients/', token => $user->{token}, json => $body, headers => { 'Idempotency-Key' => $key })->{status}, 201, 'an assistant writes');
    call(PATCH => "/api/users/$user->{id}/", as => 'admin', json => { roles => ['display'] });
    my $token = login($user->{username}, $user->{password})->{json}{token};
    my $again = call(POST => '/api/patients/', token => $token, json => $body, headers => { 'Idempotency-Key' => $key });
    is($again->{status}, 422, '... and repeats it without that role');
    unlike($again->{content}, qr/\Q$body->{name}\E/, '... sees nothing');
}
# A patient who is restricted or erased is not shown by a stored reply either.
{
    for my $how ('clinicq.restrict_patient(%s)', 'clinicq.erase_patient(%s, \'asked to\')') {
        my ($key, $body) = (new_key(), { name => new_name('Forgotten') });
        my $number = keyed($key, POST => '/api/patients/', 'assistant', json => $body)->{json}{registration_number};
        db('SELECT ' . sprintf $how, "'$number'");
        is(type_of($key, POST => '/api/patients/', 'assistant', json => $body), '409 done-before', "$how: the reply is not kept");
        is(join('|', map { $_ // '' } @{ stored($key) }), '|||', '... nothing of it');
    }
}

# Keys end.
{
    my ($key, $body) = (new_key(), { name => new_name('Old'), phone => '1' });
    my $first = keyed($key, POST => '/api/patients/', 'assistant', json => $body);
    db("UPDATE clinicq.idempotency_key SET created_at = created_at - interval '23 hours 59 minutes' WHERE key = '$key'");
    ok(replayed(keyed($key, POST => '/api/patients/', 'assistant', json => $body)), 'a key lives for 24 hours');
    db("UPDATE clinicq.idempotency_key SET created_at = created_at - interval '2 minutes' WHERE key = '$key'");
    db("UPDATE clinicq.patient SET created_at = created_at - interval '1 minute' WHERE name = '$body->{name}'");
    my $second = keyed($key, POST => '/api/patients/', 'assistant', json => $body);
    is("$second->{status} " . replayed($second), '201 ', '... then it is a new one');
    ok(replayed(keyed($key, POST => '/api/patients/', 'assistant', json => $body)), '... that lives again');
    db("UPDATE clinicq.idempotency_key SET created_at = created_at - interval '1 day' WHERE key = '$key'");
    keyed(new_key(), POST => '/api/patients/', 'assistant', json => { name => new_name() });
    is(stored($key), undef, 'one that has ended is removed');
}

# Without a key nothing is stored.
{
    my $before = db('SELECT count(*) FROM clinicq.idempotency_key');
    new_patient();
    is(db('SELECT count(*) FROM clinicq.idempotency_key'), $before, 'a write without a key leaves none');
}

# While one runs, another gets 409 at once, and the reply once it is there.
{
    my $visit = new_visit($queue);
    my $key = new_key();
    my $release = lock_visit($visit->{id}, 20);
    my $socket = connect_to();
    syswrite $socket, "PATCH /api/visits/$visit->{id}/start/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token " . token('doctor') . "\r\nIdempotency-Key: $key\r\n\r\n";
    wait_for(10, sub { db("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND a.usename = 'clinicq_shim' AND a.wait_event_type = 'Lock'") }) or diag('it does not wait');
    my $started = time;
    is(type_of($key, PATCH => "/api/visits/$visit->{id}/start/", 'doctor'), '409 in-progress', 'another with the key of one that runs: 409');
    cmp_ok(time - $started, '<', 2, '... at once');
    $release->();
    is(parse_reply(scalar read_all($socket, 20))->{status}, 200, '... the first is done');
    ok(replayed(keyed($key, PATCH => "/api/visits/$visit->{id}/start/", 'doctor')), '... and now there is a reply');
}

# 200 mixed writes of eight kinds, sent by clients of their own, four times each and half of those at once.
{
    my @queues = map { new_queue() } 1 .. 4;
    my @writes;
    for my $n (1 .. 25) {
        my $patient = new_patient()->{registration_number};
        my ($called, $moved, $cancelled) = map { new_visit($queues[ $n % 4 ])->{id} } 1 .. 3;
        my $waiting = new_queue();
        new_visit($waiting) for 1, 2;    # a call that is done twice would call both
        push @writes,
            ['assistant', POST => '/api/patients/', { name => new_name('Mixed'), phone => "$n" }],
            ['assistant', PATCH => "/api/patients/$patient/", { phone => "9$n" }],
            ['assistant', POST => '/api/visits/', { patient => $patient, queue => $queues[0] }],
            ['doctor', PATCH => "/api/visits/$called/start/", undef],
            ['assistant', PATCH => "/api/visits/$moved/", { queue => $queues[ ($n + 1) % 4 ] }],
            ['assistant', PATCH => "/api/visits/$cancelled/cancel/", undef],
            ['doctor', POST => "/api/queues/$waiting/call_next/", undef],
            ['admin', POST => '/api/queues/', { name => new_name('Mixed') }];
    }
    my $before = snapshot();
    my @keys = map { new_key() } @writes;
    my $bytes = sub ($n) {
        my ($role, $method, $path, $body) = @{ $writes[$n] };
        my $text = $body ? json($body) : '';
        return "$method $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token " . token($role) . "\r\nIdempotency-Key: $keys[$n]\r\n"
            . ($body ? "Content-Type: application/json\r\n" : '') . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
    };
    my (@replies, %problems);
    my $take = sub ($n, $reply) {
        push @{ $replies[$n] }, $reply and return 1 if $reply->{status} =~ /^20[01]$/;
        $problems{"$reply->{status} $reply->{content}"}++ unless $reply->{status} == 409 && $reply->{content} =~ /being done/;
        return 0;
    };
    my $at_once = sub (@which) {
        while (my @some = splice @which, 0, 20) {
            my @open = map { my $socket = connect_to(); syswrite $socket, $bytes->($_); [$_, $socket] } @some;
            $take->($_->[0], parse_reply(scalar read_all($_->[1], 20))) for @open;
        }
        return;
    };
    my @all = 0 .. $#writes;
    is(scalar @all, 200, '200 writes');
    $at_once->(shuffle map { ($_, $_) } @all);    # the first time, and the first replay beside it
    $take->($_, wire($bytes->($_))) for @all;     # one after the other
    $at_once->(shuffle @all);
    is_deeply(\%problems, {}, 'each was answered, or told that it is being done');
    is(scalar(grep { @{ $replies[$_] // [] } < 2 } @all), 0, 'each has its reply');
    my $differ = grep { my %seen; $seen{"$_->{status} $_->{content}"}++ for @{ $replies[$_] }; keys %seen != 1 } @all;
    is($differ, 0, '... the same each time');
    is(scalar(grep { 1 != grep { !replayed($_) } @{ $replies[$_] } } @all), 0, '... of which one was not replayed');
    my %had = $before =~ /(\w+) (\d+(?:\/\d+)?)/g;
    my %has = snapshot() =~ /(\w+) (\d+(?:\/\d+)?)/g;
    my $grown = sub ($what, $part) { return (split m{/}, $has{$what})[$part] - (split m{/}, $had{$what})[$part] };
    my %expected = (patients => [25, 50], visits => [50, 150], tokens => [50], events => [150], queues => [25, 25], audit => [225]);
    for my $what (sort keys %expected) {
        is($grown->($what, $_), $expected{$what}[$_], "... $expected{$what}[$_] more: $what" . ($_ ? ', with their changes' : '')) for 0 .. $#{ $expected{$what} };
    }
    is(db("SELECT count(*) FROM clinicq.idempotency_key WHERE key IN (" . join(',', map { "'$_'" } @keys) . ')'), 200, '200 keys');
}

done_testing;
