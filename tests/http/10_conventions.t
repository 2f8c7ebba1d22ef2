# Proves section 1.1 and what every reply has in common: addresses with and without the slash, how a
# query is read, methods and Allow, HEAD, OPTIONS, the headers of all replies, JSON and never HTML.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $queue = new_queue();
my $visit = new_visit($queue);
my $user = new_user('assistant');
my %id = (
    '/api/queues/' => $queue, '/api/patients/' => $visit->{patient}, '/api/visits/' => $visit->{id}, '/api/users/' => $user->{id},
    '/api/prescriptions/' => new_prescription($visit->{id})->{id},
    '/api/deliveries/' => db("INSERT INTO clinicq.outbox (channel, purpose) VALUES ('email', 'manual') RETURNING id"),
);

sub path ($route) {
    my ($family) = $route->{path} =~ m{^(/api/\w+/)};
    return path_of($route, id => $id{ $family // '' } // 0, registration_number => $visit->{patient}, name => 'no_shows', code => $visit->{follow});
}

my $search = '?q=nobody';
my @gets = grep { $_->{method} eq 'GET' } ROUTES;
ok(@gets >= 11, 'the routes are known');

# Exports are texts in pages, and grow with each event, their own included: 55_export.t has their rules, 58_events.t
# those of streams, 25_prescriptions.t those of images.
for my $route (grep { $_->{path} !~ m{^/api/audit/(?:export|seals|snapshot)/|/events$|/image/$} } @gets) {
    my $path = path($route);
    # A look at the audit log is an event of it: days without one stay the same.
    my $query = $path =~ /search/ ? $search : $path eq '/api/audit/' ? '?to=2000-01-01' : '';
    my $with = call(GET => $path . $query, as => 'admin');
    answers($with, 200, "GET $route->{path}");
    my $other = $path =~ m{/$} ? $path =~ s{/$}{}r : "$path/";
    my $without = call(GET => $other . $query, as => 'admin');
    my $same = $without->{content} =~ s/"timestamp":"[^"]*"//r eq $with->{content} =~ s/"timestamp":"[^"]*"//r;
    ok($without->{status} == 200 && $same && !@{ $without->{redirects} // [] }, "GET $other is the same, without a redirect");

    my $head = call(HEAD => $path . $query, as => 'admin');
    ok($head->{status} == 200 && ($head->{content} // '') eq '', "HEAD $route->{path}");
    is($head->{headers}{'content-type'}, 'application/json', '... with the headers of GET');
    is($head->{headers}{'content-length'}, length $with->{content}, '... and its length')
        unless $path =~ /health/;
    is($with->{headers}{'content-type'}, 'application/json', '... application/json without a charset');
    is($with->{headers}{'cache-control'}, 'no-store', '... no-store');
    is($with->{headers}{'x-content-type-options'}, 'nosniff', '... nosniff');
    ok($with->{headers}{$_}, "... $_") for qw(x-frame-options referrer-policy cross-origin-opener-policy x-request-id);
    ok(!grep({ !defined $with->{headers}{vary} || $with->{headers}{vary} !~ /\b$_\b/i } qw(Accept Origin)), '... Vary: Accept, Origin');
    ok($with->{content} !~ /[\r\n]|": /, '... compact') unless $path =~ /openapi/;
}

# Methods: what a path has is in Allow; what it has not is 405 with the same Allow.
my %methods;
push @{ $methods{ $_->{path} } }, $_->{method} for ROUTES;
for my $template (sort keys %methods) {
    my %has = map { $_ => 1 } @{ $methods{$template} }, 'OPTIONS';
    $has{HEAD} = 1 if $has{GET};
    my $path = path({ path => $template });
    my $allow = join ', ', sort keys %has;
    for my $method (grep { !$has{$_} } qw(GET HEAD POST PUT PATCH DELETE)) {
        my $reply = call($method => $path, as => 'admin');
        is($reply->{status}, 405, "$method $template is 405");
        is(join(', ', sort split /, */, $reply->{headers}{allow} // ''), $allow, '... with Allow');
        is(join(' ', keys %{ $reply->{json} // {} }), 'detail', '... and a detail') if $method ne 'HEAD';
    }
    is(call($_ => $path, as => 'admin')->{status}, 405, "$_ $template is 405") for qw(TRACE PROPFIND);
    my $options = call(OPTIONS => $path);
    is($options->{status}, 204, "OPTIONS $template");
    is(join(', ', sort split /, */, $options->{headers}{allow} // ''), $allow, '... with Allow');
}

# Addresses that are none.
for my $path ('/', '/api', '/api/', '/api/nothing/', '/api/queues/1/2/', '/api/queues.json', '/api//queues/', '//api/queues/',
    '/API/queues/', '/api/queues//', '/api/visits/1/destroy/', '/admin/', '/robots.txt', '/api/prescription', '/api/queues/./',
    '/api/patients/../queues/', '/api%2Fqueues/', '/api/queues%2F', '/api/queues%00/', '/favicon.ico') {
    my $reply = call(GET => $path, as => 'admin');
    my $why = faults_in($reply, 404, 'detail');
    ok(!defined $why, "GET $path is 404 as JSON") or diag("$why: $reply->{status} $reply->{content}");
}
refused(call(GET => '/api/nothing/'), 404, 'detail', 'an unknown address is 404 without a token too');
is(call(GET => '/api/queues/', as => 'admin', accept => 'text/html')->{headers}{'content-type'}, 'application/json', 'JSON for Accept: text/html');
is(call(GET => '/api/queues/?format=html', as => 'admin')->{headers}{'content-type'}, 'application/json', 'format= is ignored');
is(call(GET => '/api/none/', accept => 'text/html')->{headers}{'content-type'}, 'application/json', 'a 404 is JSON for a browser too');

# The query.
my $family = new_name('Quince Tree');
my $digits = int rand 1e8;
my $patient = new_patient(name => $family, phone => "+1 $digits,5");
my ($first, $second) = ($patient->{registration_number}, $visit->{patient});
sub numbers ($query) {
    my $reply = call(GET => "/api/patients/$query", as => 'doctor');
    return join ' ', map { $_->{registration_number} } @{ $reply->{json}{results} // [] };
}
my $term = lc $family;
is(numbers('search/?q=' . $term =~ s/ /%20/gr), $first, 'a blank as %20');
is(numbers('search/?q=' . $term =~ s/ /+/gr), $first, 'a blank as +');
is(numbers('search/?q=%2B1+' . $digits . '%2C5'), $first, 'a plus as %2B, a comma as %2C');
is(numbers('search/?q=%2B1+' . $digits . ',5'), $first, 'a comma as it is');
is(numbers('search/?q=' . join '', map { sprintf '%%%02x', ord } split //, $term), $first, 'lower-case escapes, everywhere');
is(numbers("search/?q=nobody&q=$first"), $first, 'repeated: the last counts');
is(numbers("search/?%71=$first"), $first, 'the name may be escaped');
is(numbers("search/?q=$first&&=&colour=blue&_=1732147200&x"), $first, 'unknown ones are ignored');
my $both = join ' ', sort $first, $second;
is(numbers("?registration_numbers=$first,$second"), $both, 'registration_numbers with a comma');
is(numbers("?registration_numbers=$first%2C$second"), $both, '... with %2C');
is(numbers("?registration_numbers=%20$first+,+$second%20"), $both, '... with blanks');
is(numbers("?registration_numbers=$second&registration_numbers=$first"), $first, '... repeated: the last counts');
my $all = call(GET => '/api/patients/', as => 'doctor')->{json}{count};
for my $empty ('?registration_numbers=', '?page=', '?page_size=', '?cursor=', '?registration_numbers=&page=&cursor=') {
    is(call(GET => "/api/patients/$empty", as => 'doctor')->{json}{count}, $all, "patients/$empty is as without");
}
my $today = call(GET => '/api/visits/', as => 'doctor')->{json}{count};
for my $empty (qw(status queue page cursor date from to)) {
    is(call(GET => "/api/visits/?$empty=", as => 'doctor')->{json}{count}, $today, "visits/?$empty= is as without");
}
is(call(GET => '/api/patients/?page=7', as => 'doctor')->{status}, 404, 'a list without such a page');
is(call(GET => '/api/queues/?page=7&page_size=1', as => 'doctor')->{status}, 200, 'page is ignored where there are none');
is(call(GET => "/api/visits/$visit->{id}/?status=DONE&queue=999", as => 'doctor')->{status}, 200, 'filters of lists do not reach details');
is(call(GET => "/api/patients/$first/?registration_numbers=98-98-998", as => 'doctor')->{status}, 200, '... of patients either');
refused(call(GET => '/api/patients/search/', as => 'doctor'), 400, 'error', 'search without q: key error');
refused(call(GET => '/api/patients/search/?q=', as => 'doctor'), 400, 'error', '... with an empty q too');

done_testing;
