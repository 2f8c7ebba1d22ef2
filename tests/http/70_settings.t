# Proves the configuration: --help, .env.example and what is read name the same settings with the same
# defaults; each wrong value stops the start with one line that names it and exit code 2; flags win over
# the environment; a secret is never shown.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $dsn = $ENV{CLINICQ_SHIM_DSN};
my ($password) = $dsn =~ m{//\w+:([^@]+)@};
sub try ($settings, @flags) { return run_shim({ CLINICQ_SHIM_DSN => $dsn, CLINICQ_PORT => 1, CLINICQ_METRICS_PORT => 0, %$settings }, @flags) }
sub stops ($what, $named, $settings, @flags) {
    my ($code, $out, $error) = try($settings, @flags);
    is($code, 2, "$what: exit code 2") or diag($error);
    like($error, qr/^clinicq-shim: \Q$named\E:? [^\n]+\n\z/, '... one line that names it');
    unlike($error . $out, qr/\Q$password\E/, '... without the password');
}

# The three lists.
my ($code, $help) = run_shim({}, '--help');
is($code, 0, '--help needs nothing');
my %helped = $help =~ /^ +(CLINICQ_\w+)(?:, --[a-z0-9-]+)? +\(default: (.*)\)$/mg;
my %example;
open my $in, '<', "$FindBin::Bin/../../shim/.env.example" or die "no .env.example: $!\n";
while (my $line = <$in>) { $example{$1} = $2 if $line =~ /^#?(CLINICQ_\w+)=(.*)$/ }
close $in;
is(join("\n", sort keys %helped), join("\n", sort keys %example), '--help and .env.example list the same settings');
is($helped{$_}, $example{$_} eq '' ? 'none' : $example{$_}, "$_: the same default") for sort keys %helped;
my %read;
for my $file (glob "$FindBin::Bin/../../shim/src/*.c") {
    open my $source, '<', $file or die "$file: $!\n";
    while (my $line = <$source>) { $read{$1} = 1 while $line =~ /"(CLINICQ_[A-Z0-9_]+)"/g }
    close $source;
}
delete $read{CLINICQ_};
is(join("\n", sort keys %helped), join("\n", sort keys %read), '... the same as the sources read');
my %flags = map { $_ => '--' . lc(s/^CLINICQ_//r) =~ tr/_/-/r } keys %helped;
like($help, qr/^ +$_, \Q$flags{$_}\E +\(/m, "$flags{$_} is the flag of $_") for grep { !/^CLINICQ_(?:(?:SHIM|EVENTS|DELIVER)_DSN|S3_SECRET_KEY|TWILIO_TOKEN|SMTP_PASSWORD)$/ } sort keys %flags;
unlike($help, qr/_DSN, --/, 'the connection strings have no flag');
my ($version_code, $version) = run_shim({}, '--version');
is("$version_code $version", "0 clinicq-shim @{[db(q{SELECT extversion FROM pg_extension WHERE extname = 'clinicq'})]}\n", '--version is that of the extension');

# Numbers: what is none, and what is out of range.
my %range = (CLINICQ_PORT => [1, 65535], CLINICQ_METRICS_PORT => [0, 65535], CLINICQ_READ_CONNECTIONS => [1, 256], CLINICQ_PIPELINE_DEPTH => [1, 256],
    CLINICQ_WRITE_CONNECTIONS => [1, 256], CLINICQ_SLOW_CONNECTIONS => [1, 256], CLINICQ_QUEUE_LENGTH => [1, 1_000_000], CLINICQ_REQUEST_TIMEOUT_MS => [10, 3_600_000],
    CLINICQ_RECEIVE_TIMEOUT_MS => [10, 3_600_000], CLINICQ_MAX_CONNECTIONS => [1, 1_000_000], CLINICQ_DRAIN_TIMEOUT_MS => [0, 3_600_000], CLINICQ_DELIVER_METRICS_PORT => [0, 65535],
    CLINICQ_ADDRESS_CONNECTIONS => [0, 1_000_000], CLINICQ_HEADER_LIMIT => [2048, 65536], CLINICQ_BODY_LIMIT => [1024, 1_073_741_824], CLINICQ_UPLOADS => [1, 10_000],
    CLINICQ_STREAMS => [0, 1_000_000], CLINICQ_USER_STREAMS => [1, 1_000_000], (map { ("CLINICQ_${_}_MS" => [100, 3_600_000]) } qw(HEARTBEAT STREAM_CHECK)),
    (map { ("CLINICQ_${_}_TIMEOUT_MS" => [10, 3_600_000]) } qw(HEADER SEND IDLE UPLOAD)),
    map { ("CLINICQ_${_}_BURST" => [0, 1_000_000], "CLINICQ_${_}_RATE" => [1, 1_000_000]) } qw(ADDRESS LOGIN USER WRITE));
my %other = map { $_ => 1 } qw(CLINICQ_ENV CLINICQ_SHIM_DSN CLINICQ_SHIM_DSN_FILE CLINICQ_EVENTS_DSN CLINICQ_ADDRESS CLINICQ_METRICS_ADDRESS CLINICQ_ALLOWED_HOSTS CLINICQ_CORS_ORIGINS CLINICQ_PREPARE CLINICQ_LOG_LEVEL CLINICQ_TRUSTED_PROXIES CLINICQ_TLS_PROXY
    CLINICQ_TLS_CERTIFICATE CLINICQ_TLS_KEY CLINICQ_LOG_FILE
    CLINICQ_DELIVER_DSN CLINICQ_DELIVER_DSN_FILE CLINICQ_CA_FILE CLINICQ_DRIVE_KEY_FILE CLINICQ_DRIVE_URL CLINICQ_S3_ACCESS_KEY CLINICQ_S3_SECRET_KEY CLINICQ_S3_SECRET_KEY_FILE
    CLINICQ_TWILIO_TOKEN CLINICQ_TWILIO_TOKEN_FILE CLINICQ_TWILIO_URL CLINICQ_SMTP_PASSWORD CLINICQ_SMTP_PASSWORD_FILE CLINICQ_WEBHOOK_SECRETS_FILE);
is(join(' ', sort keys %range, keys %other), join(' ', sort keys %helped), 'each setting is tried here');
for my $name (sort keys %range) {
    my ($least, $most) = @{ $range{$name} };
    for my $value ($least - 1, $most + 1, 'many', '-5', '1.5', '0x10', ' 5', '5 ', '5s', '1e3', '99999999999999999999', '+5') {
        stops("$name=$value", $name, { $name => $value });
    }
    stops("$flags{$name}=x", $name, {}, "$flags{$name}=x");
}
for my $case ([CLINICQ_PREPARE => qw(yes ON true 1 offf)], [CLINICQ_LOG_LEVEL => qw(verbose INFO 3 warn)], [CLINICQ_ADDRESS => qw(localhost 256.1.1.1 1.2.3 :: ::1::2 0x7f000001), '127.0.0.1 '],
    [CLINICQ_CORS_ORIGINS => '*', 'localhost', 'http://a,*', 'ftp://a', 'http://a,b', 'null', 'http://*.example'], (map { [$_ => 'nonsense', 'host=x colour=blue', 'postgresql://[', "host='x"] } qw(CLINICQ_SHIM_DSN CLINICQ_EVENTS_DSN)),
    [CLINICQ_ENV => 'prod', 'PRODUCTION'], [CLINICQ_TLS_PROXY => 'yes', '1'], [CLINICQ_TRUSTED_PROXIES => 'proxy', '10.0.0.0/33', '10.0.0/8', '::1/129', '1.2.3.4/', '1.2.3.4/x', '*'],
    [CLINICQ_ALLOWED_HOSTS => '*', 'a:80', '[::1', 'http://a', 'a,b/c'], [CLINICQ_SHIM_DSN_FILE => '/nonexistent/dsn'], [CLINICQ_DELIVER_DSN => 'nonsense'], [CLINICQ_DELIVER_DSN_FILE => '/nonexistent/dsn'], [CLINICQ_LOG_FILE => '/nonexistent/log', '/'], [CLINICQ_CORS_ORIGINS => 'https://a.example/', 'https://a.example/app', 'https://b,https://a/'], [CLINICQ_METRICS_ADDRESS => 'localhost', '1.2.3'], [CLINICQ_ADDRESS => '0.0.0.0', '192.0.2.1', '::']) {
    my ($name, @values) = @$case;
    for my $value (@values) {
        stops("$name=$value", $name, { $name eq 'CLINICQ_SHIM_DSN_FILE' ? (CLINICQ_SHIM_DSN => undef) : (), $name => $value });
    }
}
stops('a certificate without its key', 'CLINICQ_TLS_KEY', { CLINICQ_TLS_CERTIFICATE => '/x' });
stops('a key without its certificate', 'CLINICQ_TLS_CERTIFICATE', { CLINICQ_TLS_KEY => '/x' });
stops('no connection string', 'CLINICQ_SHIM_DSN', { CLINICQ_SHIM_DSN => undef });
stops('an empty one', 'CLINICQ_SHIM_DSN', { CLINICQ_SHIM_DSN => '' });
stops('both kinds of it', 'CLINICQ_SHIM_DSN_FILE', { CLINICQ_SHIM_DSN_FILE => '/etc/hostname' });
stops('it as a flag', 'CLINICQ_SHIM_DSN', {}, "--shim-dsn=$dsn");
stops('a deliverer without one', 'CLINICQ_DELIVER_DSN', { CLINICQ_DELIVER_DSN => undef }, 'deliver');
stops("$_ as a flag", $_, {}, '--' . lc(s/CLINICQ_//r =~ tr/_/-/r) . '=x') for qw(CLINICQ_S3_SECRET_KEY CLINICQ_TWILIO_TOKEN CLINICQ_SMTP_PASSWORD);
stops('one port for both', 'CLINICQ_METRICS_PORT', { CLINICQ_PORT => 23456, CLINICQ_METRICS_PORT => 23456 });
stops('an unknown flag', '--colour', {}, '--colour=blue');
stops('a word', 'serve', {}, 'serve');
stops('a flag without its value', 'CLINICQ_PORT', {}, '--port');
stops('a single dash', '-p', {}, '-p', '80');
stops('a wrong flag beside a right variable', 'CLINICQ_LOG_LEVEL', { CLINICQ_LOG_LEVEL => 'info' }, '--log-level', 'loud');

# A port that is taken is another kind of trouble: exit code 1, one line.
my ($taken, undef, $error) = run_shim({ CLINICQ_SHIM_DSN => $dsn, CLINICQ_PORT => url_port(), CLINICQ_METRICS_PORT => 0 });
is($taken, 1, 'a port in use: exit code 1');
my @plain = grep { !/^\{/ } split /\n/, $error;
like($plain[-1] // '', qr/cannot listen on 127\.0\.0\.1 port @{[url_port()]}: /, '... and one line that says so');
is(scalar @plain, 1, '... one');

# Flags win; a connection string may come from a file; an empty variable counts as none.
my $file = "$ENV{CLINICQ_CLUSTER}/dsn.$$";
open my $out, '>', $file or die "$file: $!\n";
print {$out} "$dsn\nthe second line does not count\n";
close $out;
my $shim = start_shim(CLINICQ_SHIM_DSN => undef, CLINICQ_SHIM_DSN_FILE => $file, CLINICQ_CORS_ORIGINS => ' http://a.example , https://b.example:8443,', CLINICQ_QUEUE_LENGTH => '', CLINICQ_PREPARE => 'off',
    CLINICQ_LOG_LEVEL => 'warning', CLINICQ_READ_CONNECTIONS => 1, CLINICQ_WRITE_CONNECTIONS => 1, CLINICQ_SLOW_CONNECTIONS => 1, CLINICQ_PIPELINE_DEPTH => 1);
for my $origin ('http://a.example', 'https://b.example:8443') {
    is(call(GET => '/api/health/', url => $shim->{url}, headers => { Origin => $origin })->{headers}{'access-control-allow-origin'}, $origin, "$origin of a list with blanks");
}
is(call(GET => '/api/visits/', as => 'doctor', url => $shim->{url})->{status}, 200, 'one connection of each kind and no prepared statements will do');
is($shim->stop, 0, 'it ends');
is(scalar(grep { /"msg":"request"/ } log_lines($shim->{log})), 0, 'at level warning requests are not logged');
unlink $file;
my $flagged = start_shim(CLINICQ_LOG_LEVEL => 'debug');
is($flagged->stop('INT'), 0, 'SIGINT ends it as well');

done_testing;
