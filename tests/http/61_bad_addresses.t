# Proves that no path and no query does harm: escapes, NUL, slashes, dots, over-long UTF-8, bytes that
# are no text, statements, lengths: an answer below 500 as JSON, 404 for a path that names nothing, and
# nothing written. An escaped slash never changes which route is meant.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $visit = new_visit(new_queue());
my $admin = token('admin');
my $serial = 0;

# One connection after the other; paths go out as they are.
sub ask ($method, $target, %more) {
    my $body = $more{body} // '';
    my $socket = connect_to();
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, "$method $target HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $admin\r\n"
        . (length $body ? "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n" : '') . "\r\n$body";
    return parse_reply(scalar read_all($socket));
}
sub shown ($text) { return substr $text =~ s/([^!-~])/sprintf '<%02X>', ord $1/ger, 0, 60 }

my @values = qw(%00 a%00b %2F a%2Fb %2e%2e .. . %2E %5C \\ %25 %252F %252e %C0%AF %C0%80 %E0%80%AF %ED%A0%80 %ED%BF%BF %F4%90%80%80 %F8%88%80%80%80 %FF %FE%FF %80 %C3 %E2%82
    % %% %g1 %1 %0 %u0041 %0A %0D%0A %09 %20 %7F %1B %C2%85 %E2%80%A8 %F0%9F%98%80 e%CC%81 ' %27 " %22 ; %3B -- /* `id` $(id) ${x} {{7}} %7B%7D { } [1] | ^ < > %3Cscript%3E
    '%20OR%20'1'='1 1%3BDROP%20TABLE%20clinicq.patient null undefined NaN true 1e9 0x10 -1 1.0 9223372036854775808 :id {id} * ~ @ ! $ & = + ?);
push @values, ',', 'a' x 3000, '%41' x 900, '1' x 400, "\xC3\xA9", "\xFF\xFE", "\xC0\xAF", "\xED\xA0\x80", "\xF0\x9F\x98\x80";

my $before = snapshot();
for my $route (grep { $_->{path} =~ /\{/ } UNSIGNED) {
    my @wrong;
    for my $value (@values) {
        next if $value =~ /^\?/;
        my $target = $route->{path} =~ s/\{\w+\}/$value/r;
        my $reply = ask($route->{method} => $target, body => $route->{body} eq 'fields' ? '{"name":"x","queue":1,"roles":[],"password":"long enough it is"}' : '');
        # A value that no record has: 404, where a field of the body was not found wrong first.
        my $good = $reply->{status} == 404 || $reply->{status} == 400 && $route->{body} eq 'fields' || $reply->{status} == 405 && $value =~ /^[.#]*$/;
        push @wrong, shown($value) . ": $reply->{status} " . substr $reply->{content}, 0, 200
            if !$good || ref $reply->{json} ne 'HASH' || $reply->{headers}{'content-type'} ne 'application/json';
    }
    ok(!@wrong, "$route->{method} $route->{path}: " . @values . ' odd values, each 404') or diag(join "\n", @wrong);
}
unchanged($before, 'odd paths');

# A slash that is escaped is a character, and dots are not resolved.
for my $target ('/api/patients%2Fsearch/?q=x', '/api%2fpatients/', '/api/queues/..%2fpatients/', '/api/queues/../patients/', '/api/./queues/', '/api/visits/1%2Fstart/', '/%61pi/queues%2F',
    '/api/patients/search%00/', '/api\\queues\\', '/api/queues;x=1/', '/api/queues/%20', '/api/%20queues/', '/api/queues//', '/api/visits//start/') {
    my $reply = ask(GET => $target);
    ok($reply->{status} == 404 && ref $reply->{json} eq 'HASH', "$target is 404") or diag("$reply->{status} $reply->{content}");
}
is(ask(PATCH => "/api/visits/$visit->{id}%2Fstart/")->{status}, 404, 'an escaped slash makes no action of a visit');
is(ask(PATCH => "/api/visits/$visit->{id}/start%2F")->{status}, 404, '... at its end neither');
is(ask(GET => "/api/visits/$visit->{id}/")->{json}{status}, 'WAITING', 'the visit is where it was');
is(ask(GET => "http://a/api/visits/$visit->{id}/")->{json}{id}, $visit->{id}, 'an address in absolute form is understood');
is(ask(GET => "$_")->{status}, 404, shown($_) . ' is 404') for 'http://a', '/' . 'a/' x 200, '/' . 'x' x 2000, '/api/' . '%2e/' x 50;

# Every template, spoilt at each of its slashes and ends: nothing is resolved, decoded twice or passed over.
for my $route (UNSIGNED) {
    my $right = path_of($route, id => 1, registration_number => '01-00-001');
    my @segments = split m{/}, $right =~ s{^/|/$}{}gr;
    my @paths;
    for my $slash ('%2f', '%2F', '%252f', '//', '/./', '/../', '/x/../', '/%2e/', '/%2e%2e/', '/.%2e/', '/%252e%252e/', '/;/', ';x=1/', '%5c', '\\', '/..\\', '%00/', '/%00', '%c0%af', '/..;/', '.json/', "\xC0\xAF") {
        for my $at (1 .. $#segments + 1) {
            push @paths, '/' . join('/', @segments[0 .. $at - 1]) . $slash . join('/', @segments[$at .. $#segments]) . ($at <= $#segments ? '/' : '');
        }
    }
    push @paths, "/$right", "/./$right", "/../$right", "/x/..$right", "/%2e%2e$right", "/api$right", uc $right, "$right/", "$right%2f", "$right.", "$right%00", "$right;x", "${right}x/..", substr $right, 1;
    my @wrong;
    for my $path (grep { $_ ne $right && "$_/" ne $right && $_ ne "$right/" } @paths) {
        my $reply = ask($route->{method} => $path, body => $route->{body} eq 'fields' ? '{"name":"x","queue":1,"roles":[],"password":"long enough it is"}' : '');
        push @wrong, shown($path) . ": $reply->{status} " . substr $reply->{content}, 0, 100
            if $reply->{status} !~ /^40[45]$/ && !($reply->{status} == 400 && ($path !~ m{^/} || $route->{body} eq 'fields'));
    }
    ok(!@wrong, "$route->{method} $route->{path}: " . @paths . ' ways round it lead nowhere') or diag(join "\n", @wrong);
}
unchanged($before, 'ways round');

# The query: every parameter of every list with every value.
my %parameters = (
    '/api/patients/' => [qw(registration_numbers page page_size cursor)], '/api/patients/search/' => [qw(q page page_size)],
    '/api/visits/' => [qw(status queue date from to page page_size cursor)], '/api/queues/' => ['page'], "/api/visits/$visit->{id}/" => ['status'], '/api/health/' => ['x'], '/api/users/' => ['page'],
);
for my $path (sort keys %parameters) {
    for my $name (@{ $parameters{$path} }, 'unknown') {
        my @wrong;
        for my $value (@values) {
            my $reply = ask(GET => "$path?q=x&$name=$value");
            push @wrong, shown($value) . ": $reply->{status} " . substr $reply->{content}, 0, 200
                if $reply->{status} !~ /^(?:200|400|404)$/ || ref $reply->{json} !~ /^(?:HASH|ARRAY)$/
                || $reply->{status} == 400 && !length((values %{ $reply->{json} })[0]);
        }
        ok(!@wrong, "$path?$name=: an answer below 500 for each") or diag(join "\n", @wrong);
    }
}
for my $bad ('%FF', '%C0%AF', 'a%00b', '%00', '%ED%A0%80', '%F4%90%80%80', "\xFF", "\xC0\xAF") {
    for my $query ("q=$bad", "$bad=1", "q=x&colour=$bad") {
        my $reply = ask(GET => "/api/patients/search/?$query");
        ok($reply->{status} == 400 && ($reply->{json}{detail} // '') =~ /query/, shown("?$query") . ' is 400, naming the query') or diag("$reply->{status} $reply->{content}");
    }
}
my $held = connect_to();
for my $count (150, 165, 200, 1500) {
    my $reply = wire('GET /api/queues/?' . join('&', map { "a$_" } 1 .. $count) . " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token $admin\r\n\r\n", 3);
    ok($reply->{closed} && ($reply->{status} =~ /^(?:200|414|431)$/ || $count >= 200), "$count parameters: $reply->{status}, and closed at once");
}
close $held;
is(ask(GET => '/api/queues/?a=1?b=2&c=%3F#x')->{status}, 200, 'a second question mark is a character');
unchanged($before, 'odd queries');
is(db("SELECT count(*) FROM pg_tables WHERE schemaname = 'clinicq' AND tablename IN ('patient', 'visit', 'queue', 'app_user')"), 4, 'all tables are still there');

# Too long: 414, and the connection is closed.
for my $length (9_000, 11_000, 20_000, 70_000) {
    for my $target ('/api/' . 'a' x $length, '/api/patients/search/?q=' . 'a' x $length) {
        my $reply = wire("GET $target HTTP/1.1\r\nHost: a\r\nAuthorization: Token $admin\r\n\r\n", 1);
        ok($reply->{status} == 414 || $reply->{status} == 431 || !length $reply->{bytes} || $length < 10_000 && $reply->{status} =~ /^40[04]$/, "an address of $length bytes is refused ($reply->{status})");
        ok($reply->{closed}, '... and the connection closed') if $reply->{status} !~ /^40[04]$/;
    }
}
answers(call(GET => '/api/health/'), 200, 'the service goes on');

done_testing;
