# Proves what production refuses to start with, each with one line that has the remedy, and that
# clinicq-shim check says the same as a table.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my %good = (CLINICQ_SHIM_DSN => $ENV{CLINICQ_SHIM_DSN}, CLINICQ_TLS_PROXY => 'on', CLINICQ_TRUSTED_PROXIES => '127.0.0.1', CLINICQ_ALLOWED_HOSTS => 'clinic.example,127.0.0.1,a',
    CLINICQ_CORS_ORIGINS => 'https://app.example', CLINICQ_METRICS_PORT => 0);
sub check (%settings) {
    my ($code, $out, $error) = run_shim({ %good, %settings }, 'check');
    my %state = map { /^(.+?)\s{2,}(ok|warning|FAILED)\s+(.+)$/ ? ($1 => [$2, $3]) : () } split /\n/, $out;
    return ($code, \%state, $out . $error);
}
my ($code, $states, $text) = check();
is($code, 0, 'what is fit for production passes') or diag($text);
like($text, qr/^check +state +remedy\n/, '... as a table');
is(join(',', map { "$_: $states->{$_}[0]" } grep { $states->{$_}[0] ne 'ok' } sort keys %$states), 'events come at once: warning', '... with one warning: no keeper works here');
cmp_ok(scalar keys %$states, '>=', 9, '... of all checks');

my ($password) = $ENV{CLINICQ_SHIM_DSN} =~ m{//\w+:([^@]+)@};
db("CREATE ROLE clinicq_test_member LOGIN PASSWORD '$password' IN ROLE clinicq_owner; CREATE ROLE clinicq_test_maker LOGIN CREATEROLE PASSWORD '$password'");
sub as ($role) { return $ENV{CLINICQ_SHIM_DSN} =~ s{//\w+:}{//$role:}r }
my @cases = (
    ['requests come over TLS', CLINICQ_TLS_PROXY => undef], ['database login is no superuser', CLINICQ_SHIM_DSN => $ENV{CLINICQ_SUPERUSER_DSN}],
    ['database login is no superuser', CLINICQ_SHIM_DSN => as('clinicq_test_maker')], ['database login owns nothing', CLINICQ_SHIM_DSN => $ENV{CLINICQ_DSN}], ['database login owns nothing', CLINICQ_SHIM_DSN => as('clinicq_test_member')],
    ['database connection is private', CLINICQ_SHIM_DSN => 'postgresql://clinicq_shim@127.0.0.2:1/clinicq?sslmode=require'],
    ['event connection is private', CLINICQ_EVENTS_DSN => 'postgresql://clinicq_shim@127.0.0.2:1/clinicq?sslmode=require'], ['event connection answers', CLINICQ_EVENTS_DSN => 'postgresql://clinicq_shim@127.0.0.1:1/clinicq'],
    ['database answers', CLINICQ_SHIM_DSN => 'postgresql://clinicq_shim@127.0.0.1:1/clinicq'], ['database is migrated', CLINICQ_SHIM_DSN => $ENV{CLINICQ_SHIM_DSN} =~ s{/clinicq(?=\?|\z)}{/postgres}r],
);
for my $case (@cases) {
    my ($name, %wrong) = @$case;
    ($code, $states, $text) = check(%wrong);
    is($code, 1, "$name: check fails");
    is($states->{$name}[0], 'FAILED', '... and names it') or diag($text);
    like($states->{$name}[1] // '', qr/\w{3}.*\w/, '... with a remedy');
    my ($exit, $out, $error) = run_shim({ %good, %wrong, CLINICQ_ENV => 'production', CLINICQ_PORT => 1 });
    is($exit, 1, '... production does not start');
    my ($line) = grep { index($_, "not so: $name; ") >= 0 } split /\n/, $error;
    ok(defined $line, '... and says so in one line') or diag($error);
    is(join("\n", grep { !/^clinicq-shim: CLINICQ_ENV=production: not so: [^;]+; \w.+\w/ } split /\n/, $error), '', '... as whatever else is refused');
    ok(index($error . $text, $password) < 0, '... without the password');
}
is((check(CLINICQ_SHIM_DSN => "postgresql://clinicq_shim\@127.0.0.2:1/clinicq?$_->[0]"))[1]{'database connection is private'}[0], $_->[1], "over a network with $_->[0]: $_->[1]")
    for ['sslmode=verify-full', 'ok'], ['sslmode=verify-ca', 'FAILED'], ['sslmode=disable', 'FAILED'], ['hostaddr=127.0.0.1', 'ok'], ['hostaddr=127.0.0.3', 'FAILED'];

# Users of a demonstration, whose passwords others know: while one of them is not shut out, whatever the name.
db(q{SET ROLE clinicq_dba; SELECT clinicq.create_user('demo-one', '{doctor}', 'quiet harbour 53 mango', demo => true), clinicq.create_user('demo-two', '{display}', 'quiet harbour 53 mango', demo => true)});
db("UPDATE clinicq.app_user SET username = 'demo-renamed' WHERE username = 'demo-one'");
for my $left (2, 1) {
    ($code, $states, $text) = check();
    is("$code $states->{'no demo users'}[0]", '1 FAILED', "demo users: $left");
    my ($exit, undef, $error) = run_shim({ %good, CLINICQ_ENV => 'production', CLINICQ_PORT => 1 });
    ok($exit == 1 && $error =~ /^[^\n]+not so: no demo users; ([^\n]+)\n\z/, '... production does not start, for this alone') or diag($error);
    is($1, $states->{'no demo users'}[1], '... with the same remedy');
    db(q{SET ROLE clinicq_dba; SELECT clinicq.disable_user('demo-two')}) if $left == 2;
}
my ($remedy) = $states->{'no demo users'}[1] =~ /(SELECT .+)$/;
is(db("SET ROLE clinicq_dba; $remedy"), '{demo-renamed}', 'the remedy shuts out the last one');
($code, $states, $text) = check();
is("$code $states->{'no demo users'}[0]", '0 ok', '... and is one') or diag($text);

for my $case (['host names are set', CLINICQ_ALLOWED_HOSTS => undef], ['rate limits are on', CLINICQ_USER_BURST => 0], ['origins use TLS', CLINICQ_CORS_ORIGINS => 'http://app.example'], ['proxy names the clients', CLINICQ_TRUSTED_PROXIES => undef]) {
    my ($name, %odd) = @$case;
    ($code, $states) = check(%odd);
    is("$code $states->{$name}[0]", '0 warning', "$name: a warning");
}
# The deliverer: beside the server, and where only it is set up.
my %deliverer = (CLINICQ_DELIVER_DSN => $ENV{CLINICQ_DELIVER_DSN});
($code, $states, $text) = check(%deliverer);
is("$code @{[map { $states->{$_}[0] } 'database answers', q(deliverer's database answers)]}", '0 ok ok', 'check has the deliverer, where it is set up, beside the server') or diag($text);
($code, $states, $text) = check(%deliverer, CLINICQ_SHIM_DSN => undef);
is($code . join(',', map { " $_: $states->{$_}[0]" } grep { /deliverer|database/ } sort keys %$states), "0 deliverer connection is private: ok, deliverer is no superuser: ok, deliverer owns nothing: ok, deliverer's database answers: ok", '... and nothing else without the server') or diag($text);
for my $case (
    ['deliverer is no superuser', $ENV{CLINICQ_SUPERUSER_DSN}], ['deliverer owns nothing', $ENV{CLINICQ_DSN}],
    ["deliverer's database answers", $ENV{CLINICQ_SHIM_DSN}], ["deliverer connection is private", 'postgresql://clinicq_deliver@127.0.0.2:1/clinicq?sslmode=require']
  )
{
    my ($name, $dsn) = @$case;
    ($code, $states, $text) = check(CLINICQ_SHIM_DSN => undef, CLINICQ_DELIVER_DSN => $dsn);
    is("$code $states->{$name}[0]", '1 FAILED', "$name: check fails") or diag($text);
    like($states->{$name}[1] // '', qr/\w{3}.*\w/, '... with a remedy');
    ok(index($text, $password) < 0, '... without the password');
}

# Without a proxy: what arrives is only as good as the library that reads it.
my $folder = "$ENV{CLINICQ_CLUSTER}/production.$$";
mkdir $folder or die "$folder: $!\n";
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=clinic.example -batch -keyout $folder/key -out $folder/crt 2>$folder/log") == 0 or die "openssl\n";
chmod 0755, $folder;
chmod 0644, "$folder/key";
my %alone = (CLINICQ_TLS_PROXY => undef, CLINICQ_TRUSTED_PROXIES => undef, CLINICQ_TLS_CERTIFICATE => "$folder/crt", CLINICQ_TLS_KEY => "$folder/key");
my $old = `pkg-config --modversion libmicrohttpd` =~ /^0\./;
($code, $states, $text) = check(%alone);
is("$code $states->{'requests are normalised'}[0]", $old ? '1 FAILED' : '0 ok', 'without a proxy the library has to be strict') or diag($text);
is($states->{'certificate is valid'}[0], 'warning', 'a certificate that ends within a week: a warning');
if ($old) {
    my ($exit, $out, $error) = run_shim({ %good, %alone, CLINICQ_ENV => 'production' });
    is($exit, 1, '... production does not start');
    like($error, qr/\Aclinicq-shim: [^\n]+not so: requests are normalised; put a proxy in front [^\n]+\n\z/, '... and says so in one line');
}
($code, undef, my $error) = run_shim({ %good, CLINICQ_CORS_ORIGINS => '*', CLINICQ_ENV => 'production' });
ok($code == 2 && $error =~ /\A[^\n]+name each origin\n\z/, 'a wildcard is never possible');
db('DROP ROLE clinicq_test_member; DROP ROLE clinicq_test_maker');

# It serves.
delete $good{CLINICQ_METRICS_PORT};
my $serving = start_shim(%good, CLINICQ_ENV => 'production');
is(call(GET => '/api/health/', url => $serving->{url})->{status}, 200, 'production serves');
is($serving->stop, 0, 'it ends');

done_testing;
