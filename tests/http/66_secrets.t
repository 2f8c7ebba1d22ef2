# Proves that neither log of a request's way holds a secret or a patient, also where somebody opened the server's:
# with every statement and error logged, with parameters, and the shim at debug, all kinds of requests are made
# with marked passwords, tokens, codes, names and phones, right and wrong; then both logs are searched.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my ($server_log) = glob "$ENV{CLINICQ_CLUSTER}/server/server.log";
my @loud = map { ["ALTER SYSTEM SET $_->[0] = $_->[1]", "ALTER SYSTEM RESET $_->[0]"] } ['log_parameter_max_length', -1], ['log_parameter_max_length_on_error', -1], ['log_error_verbosity', 'terse'];
push @loud, map { ["ALTER ROLE clinicq_shim SET $_->[0] = $_->[1]", "ALTER ROLE clinicq_shim RESET $_->[0]"] } ['log_min_duration_statement', 0], ['log_min_error_statement', 'error'], ['log_statement', "'all'"];
push @loud, ['ALTER ROLE clinicq_shim SET log_min_messages = notice', 'ALTER ROLE clinicq_shim SET log_min_messages = ' . db(q{SELECT coalesce((SELECT split_part(c, '=', 2) FROM pg_roles, unnest(rolconfig) AS c WHERE rolname = 'clinicq_shim' AND c ~ '^log_min_messages='), 'warning')})];
# As it is set, errors of requests are not logged at all: their details may show a row, or what was typed.
like($loud[-1][1], qr/= (?:log|fatal|panic)$/, 'the role of the shim logs no errors');
db($_->[0]) for @loud;
db('SELECT pg_reload_conf()');
my $from = -s $server_log;
my $shim = start_shim(CLINICQ_LOG_LEVEL => 'debug');
my @secrets;
my @typed; # in the place of a number
sub secret ($text) { push @secrets, $text; return $text }
sub typed ($text) { push @typed, $text; return $text }
sub ask ($method, $path, %how) { return call($method => $path, url => $shim->{url}, %how) }

# Users: passwords that are made, given, guessed, changed.
my $name = secret('mark.' . new_name('user') =~ tr/ /./r);
my $made = ask(POST => '/api/users/', as => 'admin', json => { username => $name, roles => ['doctor'] })->{json};
secret($made->{password});
my $once = ask(POST => '/api/auth/login/', json => { username => $name, password => $made->{password} })->{json};
secret($once->{token});
my $password = secret('seven marked kettles 31');
answers(ask(POST => '/api/auth/password/', token => $once->{token}, json => { old_password => $made->{password}, password => $password }), 204, 'a password is changed');
ask(POST => '/api/auth/password/', token => $once->{token}, json => { old_password => secret('marked old password'), password => secret('marked new password 77') });
ask(POST => '/api/users/', as => 'admin', json => { username => secret("marked bad name"), password => secret('marked-bad') });
my $session = ask(POST => '/api/auth/login/', json => { username => $name, password => $password, refresh => JSON::PP::true })->{json};
secret($session->{$_}) for qw(token refresh);
my $next = ask(POST => '/api/auth/refresh/', json => { refresh => $session->{refresh} })->{json};
secret($next->{$_}) for qw(token refresh);
ask(POST => '/api/auth/refresh/', json => { refresh => $next->{refresh} });
answers(ask(POST => '/api/auth/refresh/', json => { refresh => $session->{refresh} }), 401, 'a refresh token comes again');
my $cookie = ask(POST => '/api/auth/login/', json => { username => $name, password => $password, cookie => JSON::PP::true })->{headers}{'set-cookie'} =~ /=([0-9a-f]{64});/ ? secret($1) : '';
answers(ask(GET => '/api/auth/me/', headers => { Cookie => "clinicq=$cookie" }), 200, 'a session in a cookie');
ask(GET => '/api/auth/me/', headers => { Cookie => 'clinicq=' . secret('c0de' x 16) });
my $factor = ask(POST => '/api/auth/totp/', headers => { Cookie => "clinicq=$cookie", Origin => $shim->{url}, 'X-ClinicQ-Request' => 1 }, json => { password => $password })->{json} // {};
ok(length($factor->{secret} // ''), 'a second factor is begun');
secret($_) for grep { defined && !ref && length > 15 } values %$factor;
my $user = ask(POST => '/api/auth/login/', json => { username => $name, password => $password })->{json}{token};
secret($user);
ask(POST => '/api/auth/totp/confirm/', token => $user, json => { code => secret('837465') });
ask(POST => '/api/auth/login/', json => { username => secret("marked.nobody.$_"), password => secret("marked guess number $_") }) for 1 .. 5;
ask(POST => '/api/auth/login/', body => '{"username": "' . secret('marked.malformed') . '", "password": "' . secret('marked malformed') . '"');
ask(POST => '/api/auth/login/', body => 'username=' . secret('marked.form') . '&password=' . secret('marked-form'), type => 'application/x-www-form-urlencoded');
ask(GET => '/api/auth/me/', token => secret($_)) for 'feedbeef' x 8, 'marked-token-malformed', 'marked' x 200;

# New passwords by e-mail: the address, the link's token, the password.
set_setting($_->[0] => $_->[1]) for [email_server => 'smtp://127.0.0.1:9'], [email_from => 'clinic@clinic.example'], [password_reset_url => 'https://clinic.example/#'], [sms_account => 'AC1'], [sms_from => '+14155550100'];
my $id = db("SELECT id FROM clinicq.app_user WHERE username = '$name'");
ask(PATCH => "/api/users/$id/", as => 'admin', json => { email => secret('marked.user@clinic.example') });
ask(PATCH => "/api/users/$id/", as => 'admin', json => { email => secret('marked wrong@clinic.example') });
answers(ask(POST => '/api/auth/password_reset/', json => { username => $name }), 202, 'a link for a new password');
my ($link) = map { $_->[0] } db_rows(q{SELECT substring(work->>'body' FROM '#([0-9a-f]{96})') FROM clinicq_api.take_deliveries('{email}', '{100}') WHERE work->>'body' ~ '#[0-9a-f]{96}'});
answers(ask(POST => '/api/auth/password_reset/confirm/', json => { token => secret($link), password => secret('eight marked kettles 32') }), 204, '... is used');
ask(POST => '/api/auth/password_reset/confirm/', json => { token => $link, password => secret('eight marked kettles 33') });
ask(POST => '/api/auth/password_reset/confirm/', json => { token => secret('ab' x 48), password => 'x' });

# Patients: written, read, found, refused, wrong.
my $patient = ask(POST => '/api/patients/', as => 'assistant', json => { name => secret('Marked Patient Khan'), phone => secret('0799-555-1234') })->{json};
my $number = $patient->{registration_number};
ask(PATCH => "/api/patients/$number/", as => 'assistant', json => { name => secret('Marked Changed Khan') });
ask(GET => '/api/patients/search/?q=Marked+Changed', as => 'doctor');
ask(GET => '/api/patients/search/?q=0799-555-1234', as => 'doctor');
ask(GET => '/api/patients/' . typed('marked-number-77') . '/', as => 'doctor');
ask(GET => '/api/' . secret('marked-address') . "/?$_=" . secret("marked-query-$_"), as => 'doctor') for qw(a token);
refused(ask(POST => '/api/patients/', as => 'assistant', json => { name => secret('Marked Wrong Name') . 'x' x 255, phone => secret('marked phone that is too long') }), 400, [qw(name phone)], 'a patient that is refused');
ask(POST => '/api/patients/', as => 'assistant', json => { name => secret('Marked No Gender'), gender => secret('marked gender') });
my $visit = ask(POST => '/api/visits/', as => 'assistant', json => { patient => $number, queue => new_queue() })->{json};
ask(POST => '/api/visits/', as => 'assistant', json => { patient => typed('marked-patient-88'), queue => 1 });
my %told = (notify_by => 'sms', notify_consent => JSON::PP::true);
answers(ask(PATCH => "/api/visits/$visit->{id}/", as => 'assistant', json => { %told, notify_to => secret('+923007778899') }), 200, 'a patient who is to be told');
ask(PATCH => "/api/visits/$visit->{id}/", as => 'assistant', json => { %told, notify_to => secret('+9230077788') . 'x' });
move($visit->{id}, 'start', url => $shim->{url});
ask(GET => "/api/queues/$visit->{queue}/events", as => 'assistant');
db(q{SELECT count(*) FROM clinicq_api.take_deliveries('{sms}', '{100}')});
set_setting($_ => '') for qw(sms_account sms_from email_server email_from password_reset_url);
ask(DELETE => "/api/patients/$number/", as => 'doctor');

# Errors within the database, of kinds that name rows: a constraint, a deadline, an ended backend.
db(q{ALTER TABLE clinicq.patient ADD CONSTRAINT marked CHECK (name NOT LIKE 'Marked Constraint%') NOT VALID});
my $broken = ask(POST => '/api/patients/', as => 'assistant', json => { name => secret('Marked Constraint Khan'), phone => secret('0799-666-7777') });
db('ALTER TABLE clinicq.patient DROP CONSTRAINT marked');
cmp_ok($broken->{status}, '>=', 400, 'a constraint that nobody thought of refuses a row');
unlike($broken->{content}, qr/Constraint|0799|Failing row|clinicq\./, '... and the reply does not show it');
my $let_go = lock_visit($visit->{id}, 8);
db(q{ALTER ROLE clinicq_shim SET lock_timeout = '300ms'});
my $blocked = start_shim(CLINICQ_LOG_LEVEL => 'debug');
cmp_ok(call(PATCH => "/api/visits/$visit->{id}/start/", as => 'doctor', url => $blocked->{url})->{status}, '>=', 400, 'a lock that is not given');
$let_go->();
db('ALTER ROLE clinicq_shim RESET lock_timeout');
is($_->stop, 0, 'it ends') for $shim, $blocked;
db($_->[1]) for @loud;
db('SELECT pg_reload_conf()');

# What the logs hold of it.
open my $in, '<', $server_log or die "$server_log: $!\n";
seek $in, $from, 0;
my $said = do { local $/ = undef; <$in> };
cmp_ok(scalar(() = $said =~ /duration: [^\n]*clinicq_api\.call/g), '>', 30, 'the server logged each call');
like($said, qr/ERROR:.*\n(?:.*\n){0,4}.*STATEMENT:.*clinicq_api\.call/, '... and those that failed');
unlike($said, qr/parameters: \$1|with parameters/, '... but no parameter of any');
my %log = (server => $said, shim => join("\n", map { log_lines($_->{log}) } $shim, $blocked));
push @secrets, map { token($_) } qw(admin doctor assistant);
push @secrets, map { (split /:/, $ENV{"CLINICQ_$_"})[1] } qw(ADMIN DOCTOR ASSISTANT DISPLAY);
for my $where (sort keys %log) {
    my @found = grep { index($log{$where}, $_) >= 0 } @secrets;
    is(scalar @found, 0, "none of " . @secrets . " secrets is in the log of the $where") or diag(join "\n", @found, grep { my $line = $_; grep { index($line, $_) >= 0 } @found } split /\n/, $log{$where});
    is(scalar(grep { $where eq 'shim' && index($log{$where}, $_) >= 0 } @typed), 0, '... nor a number');
    unlike($log{$where}, qr/\$argon2id\$|Failing row/, '... nor a hash, nor a row');
}

done_testing;
