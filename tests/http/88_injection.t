# Proves that no text is ever read as SQL: statements, quotes of every kind, literals, format() and LIKE signs
# in every path value, query parameter, JSON member and form field of every route. Routes come from
# clinicq.route, names of fields from the sources, so that neither can be forgotten. No answer is a 5xx
# or late, the catalogue stays as it is, rows appear only where the answer says so, and text is kept as it came.
use v5.36;
use utf8;
use FindBin '$Bin';
use lib "$Bin/lib";
use ClinicQ;
use Test::More;

my @texts = (
    q{'; DROP TABLE clinicq.patient CASCADE; --}, q{' OR '1'='1}, q{" OR ""="}, q{1 OR 1=1}, q{1; SELECT pg_sleep(9)}, q{1) OR pg_sleep(9) IS NULL --}, q{'||(SELECT pg_sleep(9))||'}, q{x' UNION SELECT password_hash FROM clinicq.app_user --},
    q{$$; DROP SCHEMA clinicq CASCADE; $$}, q{$q$ || current_user || $q$}, q{E'\'; SELECT pg_sleep(9); --}, q{\'; DROP TABLE clinicq.visit; --}, q{U&'\0027; SELECT pg_sleep(9)}, q{'/**/OR/**/1=1}, q{--}, q{/*}, q{\\}, q{a\\},
    q{’; DROP TABLE clinicq.visit; --}, q{ʼ OR 1=1}, q{＇ OR 1=1 －－}, q{{1,2}}, q{{"a",NULL}}, q{(1,"x")}, q{[1,2)}, q{{"a":{"$ne":null}}}, q{$1}, q{?}, q{:name}, q{%s%I%L%n}, q{%1$s}, q{%}, q{_}, q{%' AND '1'='1},
    q{clinicq.patient}, q{nextval('clinicq.registration_number_seq')}, q{1::int}, q{pg_read_file('PG_VERSION')}, q{1e400}, q{NULL}, q{current_user}, q{\x3b}, q{\copy x}, q{!= 1}, q{' <-> '}, q{a & b | !c:*},
);
my @few = @texts[0 .. 11];
sub escaped ($text) { return join '', map { sprintf '%%%02X', ord } split //, encode_utf8($text) }

# Names of fields and parameters: whatever the sources read by name.
sub source (@files) { return join "\n", map { open my $in, '<', $_ or die "$_: $!\n"; local $/ = undef; scalar <$in> } @files }
my $c = source(glob "$Bin/../../extension/src/*.c");
my $sql = source(glob "$Bin/../../sql/*.sql");
my (%field, %parameter);
$field{$1} = 1 while $c =~ /\bfields(?:_of_body\(fcinfo\))?,\s*"([a-z_]+)"/g;
$parameter{$1} = 1 while $c =~ /\b(?:query|fields_of_query\(fcinfo\)),\s*"([a-z_]+)"/g;
$field{$1} = 1 while $sql =~ /\bbody(?:::jsonb?)?\s*->>?\s*'([a-z_]+)'/g;
$parameter{$1} = 1 while $sql =~ /\bquery\s*->>?\s*'([a-z_]+)'/g;
my @fields = sort keys %field;
my @parameters = sort keys %parameter;
my %known = map { $_ => 1 } @fields, @parameters;
is(join(' ', grep { !$known{$_} } qw(username password name phone gender category patient queue roles code refresh q status date from to page cursor)), '', @fields . ' fields and ' . @parameters . ' parameters are found');

# What would be right for the routes that read fields.
my $queue = new_queue();
my $visit = new_visit($queue);
my $user = new_user('assistant');
my %id = (queues => $queue, visits => $visit->{id}, users => $user->{id});
my %right = (
    'POST /api/auth/login/' => sub { { username => new_name('n') =~ tr/ /./r, password => 'not the right one' } }, 'POST /api/auth/refresh/' => sub { { refresh => '0' x 64 } },
    'POST /api/auth/password/' => sub { { old_password => 'not the right one', password => 'seven brass kettles 31' } }, 'POST /api/auth/password_reset/' => sub { { username => 'nobody.at.all' } }, 'POST /api/auth/password_reset/confirm/' => sub { { token => '0' x 96, password => 'seven brass kettles 31' } }, 'POST /api/auth/totp/' => sub { { password => 'not the right one' } }, 'POST /api/auth/totp/confirm/' => sub { { code => '000000' } }, 'POST /api/auth/totp/remove/' => sub { { code => '000000' } },
    'POST /api/queues/' => sub { { name => new_name('Queue') } }, 'PATCH /api/queues/{id}/' => sub { {} }, 'POST /api/patients/' => sub { { name => new_name() } }, 'PUT /api/patients/{registration_number}/' => sub { { name => new_name() } },
    'PATCH /api/patients/{registration_number}/' => sub { {} }, 'POST /api/visits/' => sub { { patient => $visit->{patient}, queue => $queue } }, 'PATCH /api/visits/{id}/' => sub { { queue => $queue } },
    'PATCH /api/patients/{registration_number}/access/' => sub { { restricted => JSON::PP::false } }, 'POST /api/patients/{registration_number}/access/' => sub { { username => $user->{username} } },
    'POST /api/patients/{registration_number}/emergency/' => sub { { reason => 'brought in unconscious' } }, 'PATCH /api/emergency/{id}/' => sub { { review => 'Right.' } },
    'POST /api/queues/{id}/call_next/' => sub { {} }, 'POST /api/call_next/' => sub { { queues => [$queue] } }, 'POST /api/rooms/' => sub { { name => new_name('Room') } }, 'PATCH /api/rooms/{id}/' => sub { {} }, 'POST /api/webhooks/' => sub { { url => 'https://clinic.example/told' } },
    'POST /api/priorities/' => sub { { name => 'x' . int rand 1e9, rank => int rand 32_000 } }, 'PATCH /api/priorities/{rank}/' => sub { {} },
    'POST /api/users/' => sub { { username => new_name('u') =~ tr/ /./r } }, 'PATCH /api/users/{id}/' => sub { {} }, 'POST /api/users/{id}/password/' => sub { { password => 'seven brass kettles 31' } },
);
sub address ($route) {
    my ($family) = $route->{path} =~ m{^/api/(\w+)};
    return path_of($route, id => $id{$family} // 1, registration_number => $visit->{patient});
}

# What an attack would change, and where it would be seen.
sub catalogue {
    return db(<<~'SQL');
        SELECT concat_ws(' ', (SELECT count(*) || '/' || max(oid) FROM pg_class WHERE relkind NOT IN ('t', 'i') AND relpersistence = 'p'), (SELECT count(*) || '/' || max(oid) FROM pg_proc), (SELECT count(*) FROM pg_trigger),
            (SELECT string_agg(rolname || rolsuper, ',' ORDER BY rolname) FROM pg_authid), (SELECT count(*) FROM pg_auth_members), (SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) FROM clinicq.route AS r),
            (SELECT md5(string_agg(s::text, ',' ORDER BY s::text)) FROM clinicq.setting AS s), (SELECT md5(string_agg(relacl::text, ',' ORDER BY oid)) FROM pg_class))
        SQL
}
my %rows = map { $_ => "SELECT count(*) FROM clinicq.$_" } qw(patient visit queue app_user);
my %count = map { $_ => db($rows{$_}) } keys %rows;
my $catalogue = catalogue();
my ($log) = glob "$ENV{CLINICQ_CLUSTER}/server/server.log";
my $log_size = -s $log;
my %created;

# Why an answer is not an honest one; undef where it is.
sub dishonest ($reply, $began) {
    return 'late' if time - $began > 5;
    return "status $reply->{status}" if $reply->{status} !~ /^(?:2\d\d|400|401|404|409|429)$/;
    return if $reply->{status} == 204;
    return if $reply->{status} == 200 && $reply->{headers}{'content-type'} =~ /ndjson|csv/; # an export
    return 'no JSON' if !ref $reply->{json};
    return if $reply->{status} == 200 && $reply->{asked} =~ m{^GET /api/audit/}; # shows what was tried, and database roles
    return 'shows the machine' if $reply->{content} =~ /argon2|clinicq_(?:owner|shim|dba)|syntax error|SQLSTATE|at or near|PostgreSQL|\.c:\d/;
    return;
}
sub wrongs ($what, $ask, @list) {
    my @wrong;
    for my $text (@list ? @list : @texts) {
        my $began = time;
        my $reply = $ask->($text);
        my $why = dishonest($reply, $began);
        push @wrong, "$text: $why: $reply->{status} " . substr $reply->{content}, 0, 200 if defined $why;
    }
    return ok(!@wrong, $what) || diag(join "\n", @wrong) && 0;
}
sub written ($route, $reply) {
    $created{ $route->{path} =~ m{^/api/(\w+)/$} ? $1 : $route->{path} }++ if $reply->{status} == 201;
    $created{visits}++ if $reply->{status} == 200 && $route->{path} eq '/api/visits/{id}/' && $route->{method} eq 'PATCH' && ($reply->{json}{id} // 0) != $id{visits};
    return $reply;
}

for my $route (UNSIGNED) {
    my $name = "$route->{method} $route->{path}";
    # Path values.
    if ($route->{path} =~ /\{/) {
        my $body = $route->{body} eq 'fields' ? $right{$name}->() : undef;
        $body->{password} = 'seven brass kettles 31' if $body && $route->{path} =~ /password/;
        wrongs("$name: path", sub ($text) {
            my $reply = call($route->{method} => $route->{path} =~ s/\{\w+\}/escaped($text)/er, as => 'admin', $body ? (json => $body) : ());
            return $reply->{status} == 404 ? $reply : { %$reply, status => "$reply->{status}, not 404" };
        });
    }
    # Parameters: each for lists, all at once elsewhere.
    my $list = $route->{method} eq 'GET' && $route->{path} !~ /\{/ && $route->{who}[0] ne 'anyone';
    wrongs("$name: every parameter", sub ($text) { call(GET => address($route) . '?' . join('&', map { "$_=" . escaped($text) } @parameters), as => 'admin') }) if $route->{method} eq 'GET' && !$list;
    for my $parameter ($list ? @parameters : ()) {
        wrongs("$name: ?$parameter=", sub ($text) { call(GET => "$route->{path}?" . ($parameter eq 'q' ? '' : 'q=x&') . "$parameter=" . escaped($text), as => 'admin') });
    }
    next if $route->{path} =~ /logout/ || $route->{body} ne 'fields';
    ok($right{$name}, "$name has a right body here") or next;
    db('DELETE FROM clinicq.priority_class WHERE rank NOT IN (0, 10, 20, 30)'); # what was tried as a name is a class now
    # Fields that the route knows, one by one; all others together.
    my @as = (as => 'admin');
    @as = (token => $user->{token}) if $route->{path} =~ m{^/api/auth/(?!login|refresh)};
    my @reads = grep { my $reply = written($route, call($route->{method} => address($route), @as, json => { %{ $right{$name}->() }, $_ => [{}] })); $reply->{status} == 400 && $reply->{json}{$_} } @fields;
    my %reads = map { $_ => 1 } @reads;
    my @others = grep { !$reads{$_} } @fields;
    db('TRUNCATE clinicq.log_in_attempt');
    for my $field (@reads) {
        my $kept = 0;
        my $good = wrongs("$name: $field", sub ($text) {
            my $reply = written($route, call($route->{method} => address($route), @as, json => { %{ $right{$name}->() }, $field => $text }));
            return $reply if $reply->{status} !~ /^20[01]$/ || ref $reply->{json} ne 'HASH' || !exists $reply->{json}{$field};
            return { %$reply, status => "200, but kept as '$reply->{json}{$field}'" } if $reply->{json}{$field} ne $text;
            $kept++;
            return $reply;
        });
        ok($kept > 20, '... and kept as it came') if $good && $field =~ /^(?:name|phone)$/ && $route->{path} =~ /patients/ && $field eq 'name';
        db('TRUNCATE clinicq.log_in_attempt');
        wrongs("$name: $field in a form", sub ($text) {
            my %form = (%{ $right{$name}->() }, $field => $text);
            return written($route, call($route->{method} => address($route), @as, type => 'application/x-www-form-urlencoded', body => join '&', map { "$_=" . escaped($form{$_}) } sort keys %form));
        }, @few);
        db('TRUNCATE clinicq.log_in_attempt');
    }
    wrongs("$name: " . @others . ' other fields, and names', sub ($text) {
        my $query = join '&', map { "$_=" . escaped($text) } @parameters;
        return written($route, call($route->{method} => address($route) . "?$query", @as, json => { (map { $_ => $text } @others), $text => $text, %{ $right{$name}->() } }));
    }, $route->{path} =~ m{login|password|/totp/$} ? @few : ());
    db('TRUNCATE clinicq.log_in_attempt');
}

# Headers that are kept: the device of a session, and whose it is.
for my $text (grep { !/[^ -~]/ } @texts) {
    my $reply = login($user->{username}, 'seven brass kettles 31', headers => { 'User-Agent' => $text });
    is(db("SELECT device FROM clinicq.session WHERE token_hash = sha256('$reply->{json}{token}')"), $text, "a device '$text' is kept as it came");
}

# Search takes signs of LIKE and of queries for what they are.
my $sign = new_name('Sign');
my %with = map { $_ => call(POST => '/api/patients/', as => 'assistant', json => { name => "$sign $_$_ end" })->{json}{name} } qw(% _ \\ * ? ' " & | ! : $);
for my $char (sort keys %with) {
    my $reply = call(GET => '/api/patients/search/?page_size=100&q=' . escaped("$sign $char$char"), as => 'doctor');
    is(join(', ', map { $_->{name} } @{ $reply->{json}{results} }), $with{$char}, "a search for $char finds just that");
}
is(call(GET => '/api/patients/search/?q=' . escaped($_), as => 'doctor')->{json}{count}, 0, "a search for '$_' finds nobody") for q{zz' OR '1'='1}, q{zz%zz}, q{zz_zz}, q{zz') OR ('1'='1};

# What it all came to.
is(catalogue(), $catalogue, 'the catalogue, routes, settings, roles and grants are as they were');
is(db($rows{patient}) - $count{patient}, $created{patients} + keys %with, 'patients: only those that an answer acknowledged');
is(db($rows{visit}) - $count{visit}, $created{visits} // 0, 'visits too');
is(db($rows{queue}) - $count{queue}, $created{queues}, 'queues too');
is(db($rows{app_user}) - $count{app_user}, $created{users}, 'users too');
is(db("SELECT string_agg(DISTINCT array_to_string(roles, ','), ' ') FROM clinicq.app_user WHERE id > $user->{id} AND roles <> '{}'"), '', '... none of whom has a role');
open my $in, '<', $log or die "$log: $!\n";
seek $in, $log_size, 0;
my @heard = grep { /ERROR/ && /syntax error|unterminated|malformed|does not exist|invalid input syntax|permission denied/ } <$in>;
is(scalar @heard, 0, 'the server was never asked to read one of them') or diag(@heard[0 .. ($#heard > 9 ? 9 : $#heard)]);

done_testing;
