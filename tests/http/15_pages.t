# Proves section 1.6 with the sizes of section 0: the envelope, page and page_size, what is no page,
# links, cursors, and that walking a list by number or by cursor neither misses nor doubles a row.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $marker = new_name('Walker') =~ s/ /-/gr;
db(<<"SQL");
    SELECT clinicq.register_patient(name => '$marker ' || n) FROM generate_series(1, 260) n;
    SELECT clinicq.create_queue(name => 'Pages $marker') AS queue
SQL
my $queue = db("SELECT id FROM clinicq.queue WHERE name = 'Pages $marker'");
db(<<"SQL");
    SELECT clinicq.open_visit(patient => registration_number, queue => $queue) FROM clinicq.patient WHERE name LIKE '$marker %' ORDER BY id
SQL
my $patients = db('SELECT count(*) FROM clinicq.patient WHERE removed_at IS NULL');

sub list ($path, %how) { return call(GET => $path, as => 'doctor', %how) }
sub relative ($url) { return $url =~ s/^\Q$ENV{CLINICQ_URL}\E//r }

my %lists = (
    '/api/patients/' => { size => 50, max => 200, count => $patients, key => 'registration_number', cursor => 1 },
    "/api/patients/search/?q=$marker" => { size => 50, max => 200, count => 260, key => 'registration_number' },
    "/api/visits/?queue=$queue" => { size => 200, max => 500, count => 260, key => 'id', cursor => 1 },
);
for my $path (sort keys %lists) {
    my $list = $lists{$path};
    my $with = $path =~ /\?/ ? "$path&" : "$path?";
    my $first = list($path);
    my $body = $first->{json};
    is(join(' ', sort keys %$body), 'count next previous results', "$path: the envelope");
    is($body->{count}, $list->{count}, '... counts exactly');
    is(scalar @{ $body->{results} }, $list->{size}, "... $list->{size} a page");
    is($body->{previous}, undef, '... page 1 has none before');
    is($body->{next}, "$ENV{CLINICQ_URL}${with}page=2", '... next is an absolute address of page 2');
    is(scalar @{ list("${with}page_size=100000")->{json}{results} }, $list->{max} < $list->{count} ? $list->{max} : $list->{count}, "... $list->{max} at the most");
    is(scalar @{ list("${with}page_size=7")->{json}{results} }, 7, '... or as many as asked for');
    is(scalar @{ list("${with}page_size=$_")->{json}{results} }, $list->{size}, "... page_size=$_ is the default") for qw(0 -5 many 1.5 99999999999999999999);
    answers(list("${with}page=$_"), 200, "... page=$_ is there") for 1, 2, 'last', '%202%20';
    refused(list("${with}page=$_"), 404, 'detail', "... page=$_ is no page")
        for qw(0 -1 x 1.5 999999 first LAST 99999999999999999999 9223372036854775807 1e1), '%27', '1;2', '%F0%9F%98%80';

    # By number, there and back.
    my $size = 60;
    my $pages = int(($list->{count} + $size - 1) / $size);
    my ($at, @seen, @walked) = "${with}page_size=$size";
    while (defined $at) {
        my $page = list($at)->{json};
        push @seen, map { $_->{ $list->{key} } } @{ $page->{results} };
        push @walked, $page;
        last if @walked > 100;
        $at = defined $page->{next} ? relative($page->{next}) : undef;
    }
    is(scalar @walked, $pages, "... $pages pages of $size, by next");
    my %once = map { $_ => 1 } @seen;
    ok(@seen == $list->{count} && keys %once == $list->{count}, '... nothing missed, nothing twice') or diag(scalar(@seen) . ' ' . keys %once);
    is_deeply(list("${with}page_size=$size&page=last")->{json}, $walked[-1], '... page=last is the last');
    my ($back, @back) = "${with}page_size=$size&page=$pages";
    while (defined $back && @back < 100) {
        my $page = list($back)->{json};
        unshift @back, $page;
        $back = defined $page->{previous} ? relative($page->{previous}) : undef;
    }
    is_deeply(\@back, \@walked, '... and the same way back');
    ok(($walked[1]{previous} // 'page') !~ /page=/, '... the link to page 1 omits the page');

    # By cursor, which rows that come or go in the meantime do not disturb.
    next unless $list->{cursor};
    ($at, my @by_cursor) = "${with}page_size=$size";
    for (1 .. 100) {
        my $reply = list($at);
        push @by_cursor, map { $_->{ $list->{key} } } @{ $reply->{json}{results} };
        my $link = $reply->{headers}{link} or last;
        like($link, qr/^<\Q$ENV{CLINICQ_URL}\E[^>]*[?&]cursor=[^>]*>; rel="next"$/, '... a Link header with a cursor') if $_ == 1;
        ok(($reply->{json}{next} // '') =~ /cursor=/, '... and next goes on by cursor') if $_ == 2;
        $at = relative($link =~ s/^<([^>]*)>.*/$1/r);
    }
    is_deeply(\@by_cursor, \@seen, '... walked by cursor: the same');
    ok(!defined list("${with}page_size=500&page=last")->{headers}{link}, '... no Link where the list ends');
}
like(wire("GET /api/patients/?page_size=1 HTTP/1.1\r\nHost: clinic.example:8443\r\nConnection: close\r\nAuthorization: Token " . token('doctor') . "\r\n\r\n")->{json}{next},
    qr{^http://clinic\.example:8443/api/patients/\?}, 'links have the Host of the request');
like(wire("GET /api/patients/?page_size=1 HTTP/1.0\r\nConnection: close\r\nAuthorization: Token " . token('doctor') . "\r\n\r\n")->{json}{next},
    qr{^\Q$ENV{CLINICQ_URL}\E/api/patients/\?}, '... where that is one, else the address of the shim');

# An empty list is a page; an empty filter result too.
for my $path ('/api/visits/?status=NOWHERE', '/api/visits/?queue=999999999', '/api/patients/search/?q=zzzzqqqq', '/api/patients/?registration_numbers=junk') {
    is_deeply(list($path)->{json}, { count => 0, next => undef, previous => undef, results => [] }, "$path: an empty page");
    answers(list("$path&page=1"), 200, '... page 1 of it');
    answers(list("$path&page=last"), 200, '... its last');
    answers(list("$path&page=2"), 404, '... has no second');
}
refused(list('/api/visits/?cursor=x'), 400, ['cursor'], 'a cursor that is none');
is(scalar @{ list('/api/visits/?cursor=9223372036854775807')->{json}{results} }, 0, 'a cursor of nothing: nothing after it');

# A filter keeps its parameters from page to page.
my $next = list("/api/visits/?status=waiting,%20START&queue=$queue&page_size=3&colour=a%26b")->{json}{next};
is(list(relative($next))->{json}{results}[0]{token_number}, 4, 'next keeps status, queue and page_size');
like($next, qr/colour=a%26b/, '... and escapes what needs it');

# Queues are a bare array, numbers asked for are never cut.
is(ref call(GET => '/api/queues/?page_size=1', as => 'doctor')->{json}, 'ARRAY', 'queues are a bare array');
my @fifty = map { $_->[0] } db_rows("SELECT registration_number FROM clinicq.patient WHERE name LIKE '$marker %' ORDER BY id LIMIT 50");
for my $size ('', '&page_size=10') {
    my $asked = list('/api/patients/?registration_numbers=' . join(',', @fifty) . $size)->{json};
    is(scalar @{ $asked->{results} }, 50, "50 numbers asked, 50 given$size");
    is($asked->{next}, undef, '... on one page');
}

# Beyond 10,000 the count is an estimate, and says so.
my $bulk = int(time) % 1_000_000;
db("INSERT INTO clinicq.patient (registration_number, name) SELECT 'W$bulk' || to_char(n, 'FM000000'), 'Bulk $marker' FROM generate_series(1, 10001) n; ANALYZE clinicq.patient");
my $many = list('/api/patients/?page_size=1')->{json};
ok(defined $many->{count_exact} && !$many->{count_exact}, 'beyond 10,000: count_exact is false');
cmp_ok($many->{count}, '>', 10_000, '... the count an estimate beyond it');
answers(list('/api/patients/?page=last'), 200, '... and the last page is there');
db("UPDATE clinicq.patient SET removed_at = now() WHERE name = 'Bulk $marker'; ANALYZE clinicq.patient");
ok(!exists list('/api/patients/')->{json}{count_exact}, 'an exact count does not say so');

done_testing;
