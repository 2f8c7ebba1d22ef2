# Proves TLS: versions, the certificate, its change without a restart, what a wrong one does; that the
# cookies, links and HSTS follow; that limits hold there too. And the log file: opened again on SIGHUP.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $folder = "$ENV{CLINICQ_CLUSTER}/tls.$$";
mkdir $folder or die "$folder: $!\n";
chmod 0777, $folder;
sub make ($name, $subject = 'clinic.example') {
    system qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj), "/CN=$subject", '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$folder/$name.key", '-batch', '-out', "$folder/$name.pem";
    chmod 0644, "$folder/$name.key";
    return;
}
make('one', 'one');
make('two', 'two');
sub put ($name) { system 'cp', "$folder/$name.$_", "$folder/now.$_" for qw(pem key); return }
put('one');

my $log = "$folder/shim.log";
my %how = (CLINICQ_TLS_CERTIFICATE => "$folder/now.pem", CLINICQ_TLS_KEY => "$folder/now.key", CLINICQ_LOG_FILE => $log);
my $shim = start_shim(%how, CLINICQ_HEADER_TIMEOUT_MS => 1500);
my $port = url_port($shim->{url});
sub curl (@arguments) {
    open my $out, '-|', 'curl', qw(-s -i -m 10), @arguments or die "curl: $!\n";
    local $/ = undef;
    my $all = <$out> // '';
    close $out;
    return parse_reply($all =~ s{^HTTP/2}{HTTP/1.1}r);
}
my $https = "https://127.0.0.1:$port";
my $reply = curl('--cacert', "$folder/one.pem", "$https/api/health/");
is($reply->{status}, 200, 'served over TLS, with the certificate');
is($reply->{headers}{'strict-transport-security'}, 'max-age=31536000', '... with HSTS');
is(curl('-k', $_, "$https/api/health/")->{status}, 200, "... $_") for '--tlsv1.2', '--tlsv1.3';
is(curl('-k', '--tls-max', '1.2', "$https/api/health/")->{status}, 200, '... TLS 1.2 at the most');
is(curl('-k', '--tlsv1.0', '--tls-max', $_, '--ciphers', 'DEFAULT@SECLEVEL=0', "$https/api/health/")->{status}, 0, "not TLS $_") for '1.0', '1.1';
is(curl('-k', '--tls-max', '1.2', '--ciphers', "$_\@SECLEVEL=0", "$https/api/health/")->{status}, 0, "not $_") for qw(AES128-SHA AES128-GCM-SHA256 ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES128-CCM DHE-RSA-AES128-GCM-SHA256 NULL aNULL);
is(curl('-k', '--tls-max', '1.2', '--ciphers', $_, "$https/api/health/")->{status}, 200, "but $_") for qw(ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305);
is(curl('-k', '--tlsv1.3', '--tls13-ciphers', $_, "$https/api/health/")->{status}, 200, "... $_") for qw(TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_GCM_SHA256);
is(curl("http://127.0.0.1:$port/api/health/")->{status}, 0, 'nor without TLS');
new_patient() for 1 .. 2;
like(curl('-k', '-H', 'Authorization: Token ' . token('doctor'), "$https/api/patients/?page_size=1")->{json}{next}, qr{^https://127\.0\.0\.1:$port/}, 'links are https');
is(curl('-k', '-H', 'Cookie: __Host-clinicq=' . token('doctor'), "$https/api/auth/me/")->{json}{username}, 'doctor', 'the cookie has its strict name');
is(curl('-k', '-H', 'Content-Type: application/json', '-H', 'Authorization: Token ' . token('assistant'), '-d', json({ name => new_name() }), "$https/api/patients/")->{status}, 201, 'bodies come through');
my $big = curl('-k', "$https/api/openapi.json");
is($big->{headers}{'content-length'}, length $big->{content}, 'large replies too');

# Another certificate without a restart; connections that are open go on.
sub subject { return `echo | openssl s_client -connect 127.0.0.1:$port 2>/dev/null` =~ /subject=CN *= *(\w+)/ ? $1 : 'none' }
sub reload ($expected) {
    my $before = () = log_lines($log);
    $shim->signal('HUP');
    return wait_for(5, sub { grep { /SIGHUP/ } (log_lines($log))[$before .. -1 + (() = log_lines($log))] });
}
is(subject(), 'one', 'the first certificate');
put('two');
reload('two');
ok(wait_for(5, sub { subject() eq 'two' }), 'SIGHUP: the second');
system 'cp', "$folder/one.key", "$folder/now.key";
$shim->signal('HUP');
ok(wait_for(5, sub { grep { /"level":"error".*the key is not that of the certificate/ } log_lines($log) }), 'a wrong pair is an error in the log');
is(subject(), 'two', '... and the certificate of before stays');
put('one');
$shim->signal('HUP');
ok(wait_for(5, sub { subject() eq 'one' }), 'and back');

# A client that never ends its handshake is cut off.
my $silent = connect_to($port);
syswrite $silent, "\x16\x03\x01\x02";
my $began = time;
my (undef, $closed) = read_all($silent, 6);
ok($closed && time - $began > 0.8 && time - $began < 5, sprintf 'a handshake has its time: %.1f s', time - $began);
my @flood = map { connect_to($port) } 1 .. 50;
is(curl('-k', "$https/api/health/")->{status}, 200, 'beside fifty that say nothing');

# The log file, moved away and made again.
rename $log, "$log.1";
curl('-k', '-H', 'X-Request-Id: before-hup', "$https/api/health/");
ok(wait_for(3, sub { grep { /before-hup/ } log_lines("$log.1") }), 'the log goes on in the file that was moved');
$shim->signal('HUP');
ok(wait_for(5, sub { -e $log }), 'SIGHUP makes it again');
curl('-k', '-H', 'X-Request-Id: after-hup', '-H', 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', "$https/api/health/");
my ($line) = (undef);
ok(wait_for(3, sub { ($line) = grep { /after-hup/ } log_lines($log) }), '... and goes on there');
is(JSON::PP::decode_json($line)->{traceparent}, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'with the traceparent');
ok(!grep({ /after-hup/ } log_lines("$log.1")), '... and nowhere else');
is((stat $log)[2] & 07777, 0640, 'nobody else reads it');
my $serial = 0;
for my $bad ('00-00000000000000000000000000000000-b7ad6b7169203331-01', '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01', '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01', 'x', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x') {
    my $id = 'bad-' . ++$serial;
    curl('-k', '-H', "X-Request-Id: $id", '-H', "traceparent: $bad", "$https/api/health/");
    ok(wait_for(3, sub { ($line) = grep { /$id/ } log_lines($log) }) && $line !~ /traceparent/, "not $bad");
}
is($shim->stop, 0, 'it ends');
is(scalar(grep { /^\{/ } log_lines($shim->{log})), 0, 'stderr had nothing of it');

# What cannot be used stops the start.
my %start = (CLINICQ_SHIM_DSN => $ENV{CLINICQ_SHIM_DSN}, CLINICQ_METRICS_PORT => 0);
for my $case (['no certificate', '/nonexistent', "$folder/one.key"], ['no key', "$folder/one.pem", '/nonexistent'], ['the key of another', "$folder/one.pem", "$folder/two.key"], ['a key as certificate', "$folder/one.key", "$folder/one.key"], ['a certificate as key', "$folder/one.pem", "$folder/one.pem"]) {
    my ($code, undef, $error) = run_shim({ %start, CLINICQ_TLS_CERTIFICATE => $case->[1], CLINICQ_TLS_KEY => $case->[2] });
    is($code, 2, "$case->[0]: exit code 2");
    like($error, qr/^clinicq-shim: CLINICQ_TLS_CERTIFICATE: [^\n]+\n\z/, '... and one line');
}
system 'rm', '-rf', $folder;

done_testing;
