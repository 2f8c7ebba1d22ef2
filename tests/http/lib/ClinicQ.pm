package ClinicQ;

# What the files of this suite share: requests as a role, raw bytes on a socket, a look into the
# database, records to work on, and shims with settings of their own.

use v5.36;
use utf8;
use Exporter 'import';
use Encode qw(encode_utf8);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(
    call token login answers refused faults_in json wire connect_to read_all parse_reply
    db db_rows snapshot unchanged set_setting
    new_name new_patient new_queue new_visit new_prescription move new_user lock_visit ROUTES UNSIGNED path_of
    start_shim run_shim log_lines wait_for url_port encode_utf8 sleep time
);

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my %token;

# HTTP::Tiny sends head and body in two packets, and the second would wait 40 ms for an acknowledgement.
my $connect = \&HTTP::Tiny::Handle::connect;
no warnings 'redefine';
*HTTP::Tiny::Handle::connect = sub (@arguments) {
    my $handle = $connect->(@arguments);
    setsockopt $handle->{fh}, IPPROTO_TCP, TCP_NODELAY, 1;
    return $handle;
};
use warnings 'redefine';
my $http = HTTP::Tiny->new(timeout => 30, agent => 'clinicq-tests', keep_alive => 1);

binmode $_, ':encoding(UTF-8)' for map { Test::More->builder->$_ } qw(output failure_output todo_output);

sub json ($value) { $JSON->encode($value) }

# A stream of events has no end: the reply is what it begins with, json the data of the first event.
sub first_event {
    my $content = '';
    return sub ($data, $reply) {
        $content .= $data;
        die { %$reply, content => $1 } if $content =~ /^data: (.*)\n\n/m; # HTTP::Tiny returns it, and closes
        return;
    };
}

# call(METHOD => PATH, as => role, or token => text; json => data, or body => bytes and type => media
# type; accept, headers => {}, url => another shim). The reply has status, headers, content, json.
sub call ($method, $path, %how) {
    my %headers = (Accept => 'application/json, text/plain, */*', %{ $how{headers} // {} });
    $headers{Accept} = $how{accept} if defined $how{accept};
    my $token = $how{token} // (defined $how{as} ? token($how{as}) : undef);
    $headers{Authorization} = "Token $token" if defined $token;
    my %options = (headers => \%headers);
    if (exists $how{json} || exists $how{body}) {
        $options{content} = exists $how{json} ? json($how{json}) : $how{body};
        $headers{'Content-Type'} = $how{type} // 'application/json';
    }
    $options{data_callback} = first_event() if $method eq 'GET' && $path =~ m{/events/?(?:\?|$)};
    my $reply = $http->request($method, ($how{url} // $ENV{CLINICQ_URL}) . $path, \%options);
    $reply->{json} = eval { $JSON->decode($reply->{content}) } if length $reply->{content};
    $reply->{asked} = "$method $path";
    return $reply;
}

sub login ($username, $password, %how) {
    return call(POST => '/api/auth/login/', json => { username => $username, password => $password }, %how);
}

sub token ($role) {
    return $token{$role} //= do {
        my $reply = login(split /:/, $ENV{"CLINICQ_\U$role"} // die "no user $role\n");
        $reply->{json}{token} // die "log-in of $role: $reply->{status} $reply->{content}\n";
    };
}

sub show ($reply) {
    diag("$reply->{asked}: $reply->{status} " . substr($reply->{content} // '', 0, 500));
    return;
}

# The status, and nothing else.
sub answers ($reply, $status, $what) {
    my $passed = is($reply->{status}, $status, $what);
    show($reply) unless $passed;
    return $passed;
}

# Why a refusal has not the shape that the apps read; undef where it has. $keys is the list of bad
# fields, 'detail' or another single key with a text.
sub faults_in ($reply, $status, $keys) {
    return "status $reply->{status}, not $status" if $reply->{status} != $status;
    return "type $reply->{headers}{'content-type'}" if $reply->{headers}{'content-type'} ne 'application/json';
    my $body = $reply->{json};
    return 'not an object' if ref $body ne 'HASH';
    my $list = ref $keys ? $keys : [$keys];
    my ($got, $want) = (join(' ', sort keys %$body), join(' ', sort @$list));
    return "keys $got, not $want" if $got ne $want;
    for my $key (@$list) {
        my $texts = ref $keys ? $body->{$key} : [$body->{$key}];
        return "$key is not a list of texts" if ref $texts ne 'ARRAY' || !@$texts || grep { ref || !length } @$texts;
        return "$key shows the machine: @$texts"
            if grep { /\b(?:SELECT|INSERT|UPDATE|clinicq\.|pg_|SQLSTATE|relation|\.c:\d)/ } @$texts;
    }
    return;
}

sub refused ($reply, $status, $keys, $what) {
    my $why = faults_in($reply, $status, $keys);
    my $passed = ok(!defined $why, $what);
    diag($why), show($reply) unless $passed;
    return $passed;
}

# --- bytes on a socket

sub url_port ($url = $ENV{CLINICQ_URL}) { $url =~ /:(\d+)$/ ? $1 : die "no port in $url\n" }

sub connect_to ($port = url_port()) {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) // die "connect: $!\n";
}

# Everything until the server closes, or $seconds have passed; in list context also whether it closed.
sub read_all ($socket, $seconds = 5) {
    my ($all, $closed, $end, $select) = ('', 0, time + $seconds, IO::Select->new($socket));
    while ((my $left = $end - time) > 0) {
        next unless $select->can_read($left);
        my $got = sysread $socket, $all, 65536, length $all;
        $closed = 1, last if !$got;
    }
    return wantarray ? ($all, $closed) : $all;
}

sub parse_reply ($bytes) {
    my ($head, $content) = split /\r\n\r\n/, $bytes, 2;
    my ($line, @lines) = split /\r\n/, $head // '';
    my %headers = map { /^([^:]+): *(.*)$/ ? (lc $1 => $2) : () } @lines;
    my ($status) = ($line // '') =~ m{^HTTP/1\.[01] (\d{3}) };
    return { status => $status // 0, headers => \%headers, content => $content // '', asked => 'bytes',
        json => scalar eval { $JSON->decode($content) } };
}

# Sends bytes as they are on a connection of its own and returns the first reply; closed tells whether
# the server closed the connection within the time.
sub wire ($bytes, $seconds = 5, $port = url_port()) {
    my $socket = connect_to($port);
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $bytes;
    my ($all, $closed) = read_all($socket, $seconds);
    return { %{ parse_reply($all) }, bytes => $all, closed => $closed };
}

# --- the database

sub psql ($dsn, $sql) {
    open my $out, '-|:encoding(utf8)', 'psql', $dsn, qw(-X -A -t -q -v ON_ERROR_STOP=1 -F), "\t", '-c', encode_utf8($sql)
        or die "psql: $!\n";
    my @lines = <$out>;
    close $out or die "psql failed: $sql\n";
    chomp @lines;
    return @lines;
}

# As the superuser: one value, or rows as arrays.
sub db ($sql) { return (psql($ENV{CLINICQ_SUPERUSER_DSN}, $sql))[0] }
sub db_rows ($sql) { return map { [split /\t/, $_, -1] } psql($ENV{CLINICQ_SUPERUSER_DSN}, $sql) }
sub set_setting ($name, $value) { psql($ENV{CLINICQ_DSN}, "SELECT clinicq.set_setting('$name', '$value')"); return }

# Counts and versions of all that a request could write; numbers that a sequence gave may be lost.
sub snapshot {
    token($_) for qw(admin doctor assistant display);
    return db(<<~'SQL');
        SELECT concat_ws(' ',
            (SELECT 'patients ' || count(*) || '/' || coalesce(sum(version), 0) FROM clinicq.patient),
            (SELECT 'visits ' || count(*) || '/' || coalesce(sum(version), 0) FROM clinicq.visit),
            (SELECT 'events ' || count(*) FROM clinicq.visit_event),
            (SELECT 'tokens ' || coalesce(sum(last_token), 0) FROM clinicq.token_counter),
            (SELECT 'queues ' || count(*) || '/' || coalesce(sum(version), 0) FROM clinicq.queue),
            (SELECT 'users ' || count(*) || '/' || coalesce(sum(version), 0) FROM clinicq.app_user),
            (SELECT 'sessions ' || count(*) FROM clinicq.session),
            (SELECT 'audit ' || count(*) FROM clinicq.audit_event WHERE action NOT IN ('LOG_IN', 'READ', 'SEARCH', 'REFUSED', 'EXPORT')))
        SQL
}

sub unchanged ($before, $what) {
    return is(snapshot(), $before, "$what: nothing was written")
        || diag(join "\n", map { "@$_" } db_rows('SELECT at, actor_name, door, action, entity, entity_id FROM clinicq.audit_event ORDER BY id DESC LIMIT 5'));
}

# --- records to work on

my $serial = 0;
sub new_name ($word = 'Patient') { return sprintf '%s %s%d', $word, join('', map { ('a' .. 'z')[rand 26] } 1 .. 6), ++$serial }

sub done ($reply, @statuses) {
    return $reply->{json} if grep { $reply->{status} == $_ } @statuses;
    die "$reply->{asked}: $reply->{status} $reply->{content}\n";
}

sub new_patient (%fields) {
    $fields{name} //= new_name();
    return done(call(POST => '/api/patients/', as => 'assistant', json => \%fields), 201);
}

sub new_queue (%fields) {
    $fields{name} //= new_name('Queue');
    return done(call(POST => '/api/queues/', as => 'admin', json => \%fields), 201)->{id};
}

sub new_visit ($queue, $patient = new_patient()->{registration_number}) {
    return done(call(POST => '/api/visits/', as => 'assistant', json => { patient => $patient, queue => $queue }), 201);
}

# A small image, unlike any other, kept for a visit.
sub new_prescription ($visit) {
    my $file = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . new_name();
    my $form = "--edge\r\nContent-Disposition: form-data; name=visit\r\n\r\n$visit\r\n"
        . "--edge\r\nContent-Disposition: form-data; name=image; filename=x\r\n\r\n$file\r\n--edge--\r\n";
    return done(call(POST => '/api/prescriptions/', as => 'doctor', body => $form, type => 'multipart/form-data; boundary=edge'), 201);
}

sub move ($visit, $move, %how) {
    my $id = ref $visit ? $visit->{id} : $visit;
    return call(PATCH => "/api/visits/$id/$move/", as => 'doctor', %how);
}

# A user of the roles; its token and password come along.
sub new_user (@roles) {
    my $user = done(call(POST => '/api/users/', as => 'admin', json => { username => new_name('u') =~ tr/ /./r, roles => \@roles, password => 'quiet harbour 52 mango' }), 201);
    $user->{password} = 'quiet harbour 52 mango';
    $user->{token} = done(login($user->{username}, $user->{password}), 200)->{token};
    return $user;
}

# Another session locks a visit for some seconds; what is returned ends it, at once if it still holds.
sub lock_visit ($id, $seconds) {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'psql', $ENV{CLINICQ_SUPERUSER_DSN}, '-Xqc', "BEGIN; SELECT FROM clinicq.visit WHERE id = $id FOR UPDATE; SELECT pg_sleep($seconds)" or POSIX::_exit(1);
    }
    my $holder = "FROM pg_stat_activity WHERE query LIKE '%id = $id FOR UPDATE; SELECT pg_sleep%' AND pid <> pg_backend_pid()";
    wait_for(10, sub { db("SELECT count(*) $holder AND wait_event = 'PgSleep'") }) or die "no lock\n";
    return sub {
        db("SELECT count(pg_terminate_backend(pid)) $holder");
        waitpid $pid, 0;
        return;
    };
}

# Every route: method, path template, kind of body, who may call it and who signs its requests.
sub ROUTES {
    state @routes = map { { method => $_->[0], path => $_->[1], body => $_->[2], who => [split /,/, $_->[3]], signature => $_->[4] } }
        db_rows("SELECT method, path, body, array_to_string(who, ','), coalesce(signature, '') FROM clinicq.route ORDER BY path, method");
    return @routes;
}

# Those that answer whoever asks; of the others, which refuse what is not signed, 26_sms_status.t tells.
sub UNSIGNED { return grep { !length $_->{signature} } ROUTES }

sub path_of ($route, %values) { return $route->{path} =~ s/\{(\w+)\}/$values{$1} \/\/ "{$1}"/ger }

# --- shims of a file's own

sub free_port {
    while (1) {
        my $port = 20000 + int rand 12000;
        my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1) or next;
        return $port;
    }
}

sub wait_for ($seconds, $condition) {
    my $end = time + $seconds;
    until ($condition->()) {
        return 0 if time > $end;
        sleep 0.01;
    }
    return 1;
}

# The build under test, as the server's user runs it.
sub command (@arguments) {
    my @command = ((glob "$ENV{CLINICQ_CLUSTER}/clinicq-shim.*")[0], @arguments);
    unshift @command, 'setpriv', "--reuid=$ENV{CLINICQ_SERVER_USER}", "--regid=$ENV{CLINICQ_SERVER_USER}", '--init-groups', '--'
        if $> == 0;
    return @command;
}

sub spawn ($settings, $log, @arguments) {
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    delete @ENV{ grep { /^CLINICQ_/ } keys %ENV } if my @command = command(@arguments);
    for my $name (keys %$settings) {
        $ENV{$name} = $settings->{$name} if defined $settings->{$name};
    }
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$log.out" or POSIX::_exit(99);
    open STDERR, '>', $log or POSIX::_exit(99);
    chdir '/';
    exec @command or POSIX::_exit(98);
}

sub slurp ($file) {
    open my $in, '<', $file or return '';
    local $/ = undef;
    return scalar(<$in>) // '';
}

my $runs = 0;
sub log_file { return sprintf '%s/own.%d.%d.log', $ENV{CLINICQ_CLUSTER}, $$, ++$runs }

# Runs the program to its end: exit code, standard output, standard error.
sub run_shim ($settings, @arguments) {
    my $log = log_file();
    my $pid = spawn($settings, $log, @arguments);
    my $ended = wait_for(20, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    my $code = $ended ? $? >> 8 : -1;
    kill KILL => $pid unless $ended;
    return ($code, slurp("$log.out"), slurp($log));
}

# A shim of its own on free ports; ends with the object at the latest.
sub start_shim (%settings) {
    my $self = bless { log => log_file() }, 'ClinicQ::Shim';
    my ($port, $metrics) = (free_port(), free_port());
    $self->{url} = "http://127.0.0.1:$port";
    $self->{metrics} = "http://127.0.0.1:$metrics";
    $self->{pid} = spawn({
        CLINICQ_SHIM_DSN => $ENV{CLINICQ_SHIM_DSN}, CLINICQ_PORT => $port, CLINICQ_METRICS_PORT => $metrics,
        CLINICQ_ALLOWED_HOSTS => '127.0.0.1,a', CLINICQ_ADDRESS_CONNECTIONS => 0, (map { ("CLINICQ_${_}_BURST" => 0) } qw(ADDRESS LOGIN USER WRITE)), %settings,
    }, $self->{log});
    wait_for(30, sub { $http->get("$self->{metrics}/ready")->{status} == 200 })
        or die 'no shim: ' . slurp($self->{log}) . "\n";
    return $self;
}

sub log_lines ($file = $ENV{CLINICQ_SHIM_LOG}) { return grep { length } split /\n/, slurp($file) }

package ClinicQ::Shim {
    sub signal ($self, $name = 'TERM') { kill $name => $self->{pid}; return }

    # Ends it and returns the exit code; a report of the sanitizers is a failure of its own.
    sub stop ($self, $name = 'TERM') {
        return $self->{code} if defined $self->{code};
        $self->signal($name);
        return $self->wait;
    }

    sub wait ($self, $seconds = 20) {
        return $self->{code} if defined $self->{code};
        my $ended = ClinicQ::wait_for($seconds, sub { waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid} });
        $self->{code} = $ended ? $? >> 8 | ($? & 127) << 8 : -1;
        unless ($ended) {
            kill KILL => $self->{pid};
            waitpid $self->{pid}, 0;
        }
        my $log = ClinicQ::slurp($self->{log});
        Test::More::fail("no report of the sanitizers:\n$log")
            if $log =~ /ERROR: (?:Address|Leak|Thread)Sanitizer|runtime error:/;
        return $self->{code};
    }

    sub DESTROY ($self) {
        local ($?, $@, $!);
        $self->stop if $self->{pid};
        return;
    }
}

1;
