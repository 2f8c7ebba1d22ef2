# Proves new passwords by e-mail over HTTP: everybody gets the same answer after the same time, the page's token
# works once, attempts count as log-ins for the limit of addresses, and the token is in no reply and no log.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

set_setting($_->[0] => $_->[1]) for [email_server => 'smtp://127.0.0.1:9'], [email_from => 'clinic@clinic.example'], [password_reset_url => 'https://clinic.example/new#token='];
sub ask ($name, %how) { call(POST => '/api/auth/password_reset/', json => { username => $name }, %how) }
sub confirm ($token, $password = 'nine copper lanterns 64', %how) { call(POST => '/api/auth/password_reset/confirm/', json => { token => $token, password => $password }, %how) }
# What the deliverer would send, as a superuser.
sub sent () { db(q{SELECT substring(work->>'body' FROM 'token=([0-9a-f]+)') FROM clinicq_api.take_deliveries('{email}', '{1000}') ORDER BY id DESC LIMIT 1}) }

my $user = new_user('doctor');
my $silent = new_user('doctor');
my $shut = new_user('doctor');
answers(call(PATCH => "/api/users/$user->{id}/", as => 'admin', json => { email => "$user->{username}\@clinic.example" }), 200, 'a user with an address');
answers(call(PATCH => "/api/users/$shut->{id}/", as => 'admin', json => { email => "$shut->{username}\@clinic.example", disabled => JSON::PP::true }), 200, 'one that is shut out');
answers(call(GET => '/api/auth/me/', token => $user->{token}), 200, 'an address ends no session');
refused(call(POST => '/api/users/', as => 'admin', json => { username => new_name('u') =~ tr/ /./r, email => uc "$user->{username}\@clinic.example" }), 409, 'detail', 'an address of somebody else');

my (%took, %said);
for my $round (1 .. 3) {
    for (['known', $user], ['without an address', $silent], ['shut out', $shut], ['unknown', { username => 'nobody.at.all' }]) {
        my ($who, $it) = @$_;
        my $began = time;
        my $reply = ask($it->{username});
        push @{ $took{$who} }, time - $began;
        is($reply->{status}, 202, "$who: accepted");
        my %headers = %{ $reply->{headers} };
        delete @headers{qw(date x-request-id)};
        $said{ $reply->{content} . json(\%headers) } = 1;
    }
}
is(scalar keys %said, 1, 'the answer tells nobody from anybody');
for my $who (sort keys %took) {
    my ($least) = sort { $a <=> $b } @{ $took{$who} };
    cmp_ok($least, '>=', 0.06, "$who: it waits for its time");
}
is(db("SELECT count(*) FROM clinicq.outbox WHERE purpose = 'password_reset' AND user_id = $user->{id}"), 3, 'the one is sent links');
is(db("SELECT count(*) FROM clinicq.outbox WHERE user_id IN ($silent->{id}, $shut->{id})"), 0, 'others are not');
answers(ask($user->{username}), 202, 'the fourth');
is(db("SELECT count(*) FROM clinicq.outbox WHERE user_id = $user->{id}"), 3, '... is not sent');

my $token = sent();
like($token, qr/^[0-9a-f]{96}$/, 'a link');
my $none = confirm('0' x 96);
is($none->{status} . json($none->{json}), '400{"non_field_errors":["The link was used, is too old, or is not one of ours; ask for another one."]}', 'a token that is none of ours');
refused(confirm($token, 'short'), 400, ['password'], 'a bad password');
refused(confirm($token, $user->{username} x 2), 400, ['password'], 'one that has the name in it');
answers(confirm($token), 204, 'a good one');
is(call(GET => '/api/auth/me/', token => $user->{token})->{status}, 401, '... ends the sessions');
answers(login($user->{username}, 'nine copper lanterns 64'), 200, '... and serves');
answers(login($user->{username}, $user->{password}), 400, '... in the place of the old one');
is(confirm($token, 'another copper lantern 65')->{content}, $none->{content}, 'once');
is(confirm($token, 'another copper lantern 65', headers => { 'Idempotency-Key' => 'again' })->{content}, $none->{content}, '... whatever key comes along');

# The limit of log-ins for an address.
my $shim = start_shim(CLINICQ_LOGIN_BURST => 3, CLINICQ_LOGIN_RATE => 1);
my @statuses = map { ask('nobody.at.all', url => $shim->{url})->{status} } 1 .. 12;
like("@statuses", qr/^202 202 202 (?:202 )?429\b/, 'asking counts as a log-in for the limit of an address');
@statuses = map { confirm('0' x 96, 'nine copper lanterns 64', url => $shim->{url})->{status} } 1 .. 6;
like("@statuses", qr/\b429\b/, '... so does confirming');
$shim->stop;
unlike(join("\n", log_lines()), qr/$token|\Q$user->{username}\E\@/, 'neither token nor address is in the log');
set_setting($_ => '') for qw(password_reset_url email_server email_from);

done_testing;
