# Proves messages to patients over HTTP: asked for with a visit or later, with consent; who sees what of it; that
# requests without it are as they were; that a repeat with an Idempotency-Key and If-Match work as for the rest.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my ($true, $null) = (JSON::PP::true, JSON::PP::null);
set_setting($_->[0] => $_->[1]) for [sms_account => 'AC1'], [sms_from => '+14155550100'], [email_server => 'smtp://127.0.0.1:9'], [email_from => 'clinic@clinic.example'];
my $queue = new_queue(token_prefix => 'M1');
sub patient () { new_patient()->{registration_number} }
sub open_visit ($patient, %how) { call(POST => '/api/visits/', as => 'assistant', json => { patient => $patient, queue => $queue, %{ $how{json} // {} } }, headers => $how{headers} // {}) }
sub change ($visit, $json, %how) { call(PATCH => "/api/visits/$visit->{id}/", as => 'assistant', json => $json, %how) }
sub contact ($visit) { db("SELECT concat_ws(' ', channel, address, language) FROM clinicq.visit_contact WHERE visit_id = $visit->{id}") }
my %sms = (notify_by => 'sms', notify_to => '+92 300-765 4321', notify_consent => $true);

my $plain = open_visit(patient())->{json};
is($plain->{notify}, undef, 'who asks for nothing is told nothing');
my $number = patient();
my $reply = open_visit($number, json => { %sms, notify_language => 'ur' }, headers => { 'Idempotency-Key' => 'told-1' });
answers($reply, 201, 'a visit with a number');
my $visit = $reply->{json};
is($visit->{notify}, 'sms', '... says by what the patient is told');
unlike($reply->{content}, qr/7654321/, '... not where');
is(contact($visit), 'sms +923007654321 ur', '... as it is kept');
my $repeat = open_visit($number, json => { %sms, notify_language => 'ur' }, headers => { 'Idempotency-Key' => 'told-1' });
is($repeat->{content}, $reply->{content}, 'a repeat gets the same');
is($repeat->{headers}{'idempotency-replayed'}, 'true', '... as one');
answers(open_visit($number, json => { %sms }), 200, 'the same patient again');
is(contact($visit), 'sms +923007654321 en', '... in another language');
for my $role (qw(admin doctor assistant)) {
    is(call(GET => "/api/visits/$visit->{id}/", as => $role)->{json}{notify}, 'sms', "$role sees it");
}
is(call(GET => "/api/visits/$visit->{id}/", as => 'display')->{json}{notify}, undef, 'a display does not');
is(scalar(grep { defined $_->{notify} } @{ call(GET => "/api/visits/?queue=$queue", as => 'assistant')->{json}{results} }), 1, 'in a list too');

# Changed later; If-Match counts as for any change.
my $tag = call(GET => "/api/visits/$visit->{id}/", as => 'assistant')->{headers}{etag};
is(change($visit, { notify_by => 'email', notify_to => 'a.b+c@Clinic.example', notify_consent => $true }, headers => { 'If-Match' => $tag })->{json}{notify}, 'email', 'e-mail in its place');
is(contact($visit), 'email a.b+c@Clinic.example en', '... as it is kept');
answers(change($visit, { notify_by => $null }, headers => { 'If-Match' => $tag }), 412, 'that was another representation');
is(change($visit, { notify_by => $null })->{json}{notify}, undef, 'taken back');
is(contact($visit), undef, '... and gone');
is(change($visit, { notify_by => $null })->{status}, 200, '... twice');
my $other = new_queue();
is(change($plain, { queue => $other, %sms })->{json}{notify}, 'sms', 'with a transfer');
is(db("SELECT count(*) FROM clinicq.visit_contact WHERE visit_id = $plain->{id}"), 0, '... it is the new visit that has it');

# Refused, and nothing is done. What follows from the moves so far is written with their places in the feed, so first these.
my $patient = patient();
db('SELECT clinicq_api.feed_advance()');
my $before = snapshot();
refused(open_visit($patient, json => { %sms, notify_consent => JSON::PP::false }), 400, ['notify_consent'], 'without consent');
refused(open_visit($patient, json => { notify_to => 'x' }), 400, ['notify_by'], 'without a way');
refused(open_visit('99-99-997', json => { %sms, notify_to => 'x' }), 400, ['notify_to', 'patient'], 'all that is wrong is named');
unchanged($before, 'all that was refused');
set_setting(sms_account => '');
db('SELECT clinicq_api.feed_advance()');
$before = snapshot();
refused(open_visit($patient, json => \%sms), 400, ['notify_by'], 'a channel that is off');
like(open_visit($patient, json => \%sms)->{content}, qr/sms is not set up here/, '... which says so');
refused(change($visit, \%sms), 400, ['notify_by'], '... later too');
unchanged($before, 'all that was refused');
refused(call(PATCH => "/api/visits/$visit->{id}/", as => 'display', json => { notify_by => $null }), 403, 'detail', 'a display changes none');
refused(change({ id => 999_999_999 }, { notify_by => $null }), 404, 'detail', 'nor anybody of no visit');
set_setting(sms_account => 'AC1');
move($visit, $_) for qw(start in_room done);
refused(change($visit, \%sms), 409, 'detail', 'a visit that is over');

# As a form, of which all is text: only true is consent.
refused(call(POST => '/api/visits/', as => 'assistant', body => "patient=$patient&queue=$queue&notify_by=sms&notify_to=%2B923007654321&notify_consent=yes", type => 'application/x-www-form-urlencoded'), 400, ['notify_consent'], 'a form');

# What is written is written with the place in the feed, which the shim's poll or a stream gives.
my $called = open_visit($patient, json => \%sms)->{json};
move($called, 'start');
call(GET => "/api/queues/$queue/events", as => 'assistant');
is(db("SELECT string_agg(channel || ' ' || purpose || ' ' || state, ', ' ORDER BY id) FROM clinicq.outbox WHERE visit_id = $called->{id} AND purpose = 'room'"), 'sms room pending', 'a call is in the outbox');
unlike(db("SELECT string_agg(o::text, ' ') FROM clinicq.outbox o WHERE visit_id = $called->{id}"), qr/7654321/, '... without the number');
set_setting($_ => '') for qw(sms_account sms_from email_server email_from);

done_testing;
