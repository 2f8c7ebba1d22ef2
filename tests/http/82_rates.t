# Proves the rate limits: what a doctor's page asks is never refused; what goes beyond is 429 with when to
# come again, before the database; users, addresses, log-ins and writes have buckets of their own; the
# memory for them does not grow with the number of addresses.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my @names = qw(ADDRESS LOGIN USER WRITE);
my $all = start_shim(map { ("CLINICQ_${_}_BURST" => undef) } @names);
my $small = start_shim(CLINICQ_USER_BURST => 20, CLINICQ_USER_RATE => 5, CLINICQ_WRITE_BURST => 5, CLINICQ_WRITE_RATE => 1, CLINICQ_LOGIN_BURST => 4, CLINICQ_LOGIN_RATE => 1,
    CLINICQ_ADDRESS_BURST => 60, CLINICQ_ADDRESS_RATE => 20, CLINICQ_TRUSTED_PROXIES => '127.0.0.1',
    ASAN_OPTIONS => 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64'); # which would keep what was freed
sub from ($address) { return (url => $small->{url}, headers => { 'X-Forwarded-For' => $address }) }
sub statuses (@replies) {
    my %count;
    $count{ $_->{status} }++ for @replies;
    return join ' ', map { "$_:$count{$_}" } sort keys %count;
}
sub refusals ($limit) { return call(GET => '/metrics', url => $small->{metrics})->{content} =~ /^clinicq_rate_limited_total\{limit="$limit"\} (\d+)/m ? $1 : -1 }

# A doctor's page asks for each of 200 visits after each action, here after three, with the defaults.
my $queue = new_queue();
my @visits = map { new_visit($queue) } 1 .. 3;
my $doctor = token('doctor');
my @replies;
for my $visit (@visits) {
    push @replies, move($visit, 'start', url => $all->{url});
    push @replies, map { call(GET => "/api/visits/$visit->{id}/", token => $doctor, url => $all->{url}) } 1 .. 140;
    push @replies, move($visit, 'in_room', url => $all->{url}), move($visit, 'done', url => $all->{url});
}
is(statuses(@replies), '200:' . @replies, 'a page that asks for each visit after each action is served');
my @sockets = map { connect_to(url_port($all->{url})) } 1 .. 6;
my $get = "GET /api/visits/$visits[0]{id}/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token " . new_user('doctor')->{token} . "\r\n\r\n";
syswrite $_, $get x 34 for @sockets;
my $bytes = join '', map { scalar read_all($_, 1) } @sockets;
my %seen;
$seen{$1}++ while $bytes =~ m{HTTP/1\.1 (\d+) }g;
is_deeply(\%seen, { 200 => 204 }, '... two hundred at once, on the six connections of a browser') or diag(explain \%seen);

# Users: each has a bucket; what the refusal says.
my @users = map { new_user('doctor') } 1 .. 3;
my $me = '/api/auth/me/';
@replies = map { call(GET => $me, token => $users[0]{token}, from('203.0.113.1')) } 1 .. 30;
my ($refused) = grep { $_->{status} == 429 } @replies;
ok($refused, 'a user that asks on and on is refused') or diag(statuses(@replies));
is($replies[$_]{status}, 200, "... not with request $_") for 0, 19;
refused($refused, 429, 'detail', '... in the usual shape');
my $headers = $refused->{headers};
like($headers->{'retry-after'}, qr/^[12]$/, '... Retry-After');
is("$headers->{'ratelimit-limit'} $headers->{'ratelimit-remaining'} $headers->{'ratelimit-policy'}", '20 0 20;w=4', '... RateLimit headers');
like($headers->{'ratelimit-reset'}, qr/^[345]$/, '... and when all is free again');
is(call(GET => $me, token => $users[0]{token}, from('203.0.113.2'))->{status}, 429, 'from another address too');
is(call(GET => $me, token => login($users[0]{username}, $users[0]{password})->{json}{token}, from('203.0.113.2'))->{status}, 200, 'a new token: its first request shows whose it is');
is(call(GET => $me, token => $users[1]{token}, from('203.0.113.1'))->{status}, 200, 'another user at the same address is served');
my $problem = call(GET => $me, token => $users[0]{token}, from('203.0.113.1'), accept => 'application/problem+json');
is("$problem->{status} $problem->{json}{type}", '429 /problems/too-many-requests', 'as RFC 9457');
sleep 1.3;
is(call(GET => $me, token => $users[0]{token}, from('203.0.113.1'))->{status}, 200, 'after Retry-After it goes on');
cmp_ok(refusals('user'), '>=', 5, 'counted in the metrics');

# Writes are scarcer, and nothing of a refused one is done.
my $before = db('SELECT count(*) FROM clinicq.patient');
my @written = map { call(POST => '/api/patients/', token => $users[2]{token}, json => { name => new_name() }, from('203.0.113.3')) } 1 .. 10;
like(statuses(@written), qr/^201:[5-7] 429:[3-5]$/, 'writes are refused earlier');
is(db('SELECT count(*) FROM clinicq.patient') - $before, scalar(grep { $_->{status} == 201 } @written), '... before the database');
is(call(GET => $me, token => $users[2]{token}, from('203.0.113.3'))->{status}, 200, '... while reads go on');

# Log-ins by address, right or wrong; IPv6 by /64.
like(statuses(map { login('nobody', 'wrong password', from('198.51.100.1')) } 1 .. 8), qr/^400:[4-6] 429:[2-4]$/, 'log-ins of one address');
is(login((split /:/, $ENV{CLINICQ_DOCTOR}), from('198.51.100.2'))->{status}, 200, '... another address logs in');
like(statuses(map { login('nobody', 'wrong password', from("2001:db8:0:1::$_")) } 1 .. 8), qr/^400:[4-6] 429:[2-4]$/, 'log-ins of a /64');
is(login('nobody', 'wrong password', from('2001:db8:0:2::1'))->{status}, 400, '... the next /64 is another');

# Addresses, whatever they ask for.
@replies = map { call(GET => "/nowhere/$_", from('192.0.2.1')) } 1 .. 90;
like(statuses(@replies), qr/^404:[678]\d 429:\d\d$/, 'an address that asks for anything');
is(call(GET => '/api/health/', from('192.0.2.2'))->{status}, 200, '... another is served');
my $upload = wire("POST /api/patients/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 60000\r\n\r\n", 3, url_port($small->{url}));
is($upload->{status}, 429, 'an upload is refused before its body');
is(statuses(map { call(GET => '/api/health/', url => $small->{url}) } 1 .. 100), '200:100', 'the proxy itself is exempt');

# Codes on slips, which need no log-in: who guesses is refused before the database.
my $slip = new_visit($queue)->{follow};
my @guesses = map { call(GET => '/api/follow/' . join('', map { sprintf '%08x', rand 2**32 } 1 .. 4) . '/', from('192.0.2.3')) } 1 .. 90;
like(statuses(@guesses), qr/^404:[678]\d 429:\d\d$/, 'guessing the codes of slips');
($refused) = grep { $_->{status} == 429 } @guesses;
refused($refused, 429, 'detail', '... in the usual shape');
like($refused->{headers}{'retry-after'}, qr/^[1-4]$/, '... with Retry-After');
is(call(GET => "/api/follow/$slip/", from('192.0.2.4'))->{json}{status}, 'WAITING', '... while a patient at another address follows the visit');
sleep 0.5;
is(call(GET => "/api/follow/$slip/", from('192.0.2.3'))->{status}, 200, '... and at this one after a while');

# Memory is the same after many addresses, and a limit still holds.
sub resident { return slurp_status() =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 }
sub slurp_status { open my $in, '<', "/proc/$small->{pid}/status" or die "no status: $!\n"; local $/ = undef; return scalar <$in> }
sub flood ($count, $first) {
    my $socket = connect_to(url_port($small->{url}));
    for my $i (0 .. $count / 50 - 1) {
        syswrite $socket, join '', map { my $n = $first + $i * 50 + $_; sprintf "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2a%02x:%x:%x:1::1\r\n\r\n", $n >> 16 & 255, $n & 65535, $n } 0 .. 49;
        my $got = '';
        while ((() = $got =~ /HTTP\/1\.1 /g) < 50) { sysread $socket, $got, 65536, length $got or last }
    }
    return;
}
flood(5_000, 0);
my $resident = resident();
flood(40_000, 5_000);
cmp_ok(resident() - $resident, '<', 4096, 'memory after forty thousand addresses') or diag("$resident " . resident());
like(statuses(map { call(GET => "/nowhere/$_", from('192.0.2.99')) } 1 .. 90), qr/429:\d\d$/, 'and limits hold');
is($_->stop, 0, 'it ends') for $all, $small;

done_testing;
