# Proves, for every route that reads fields and every field of it: missing, null, of a wrong type, blank,
# too long, with control characters, out of range: 400 that names just this field, and nothing written.
# What is text stays text, whatever it looks like.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $queue = new_queue();
my $visit = new_visit($queue);
my $number = $visit->{patient};
my $user = new_user('assistant');
my $room = call(POST => '/api/rooms/', as => 'admin', json => { name => new_name('Room') })->{json}{id};
sub username () { return new_name('u') =~ tr/ /./r }

# What is wrong for a field of a kind, beyond being of another type.
my @controls = map { "a${_}b" } "\x01", "\x08", "\n", "\t", "\r", "\x1B", "\x7F", "\x{80}", "\x{85}", "\x{9B}", "\x{2028}", "\x{2029}";
my @blanks = ('', ' ', "\t\r\n ", "\x{3000}", "\x{A0}\x{2003}");
my @types = ($true, $false, [], {}, ['x'], { a => 1 }, [undef]);
my @not_ids = (@types, '', ' ', 'x', '1x', '0x1', '1.0', '1.5', 1.5, -0.5, '1e3', '9223372036854775808', '-9223372036854775809', '9' x 40, '١', '１', "1'--", "1\x{A0}2", 'null', 'NaN',
    '1,2', '+ 1', '--1', '-', '+', 999_999_999, 0, -1, '9223372036854775807');
my %kind = (
    name => { min => 1, bad => [@types, @blanks, @controls, 'x' x 256, '😀' x 256, "e\x{301}" x 128] },
    queue_name => { min => 1, bad => [@types, @blanks, @controls, 'x' x 101, '😀' x 101] },
    phone => { null => 1, bad => [@types, @controls, '1' x 21, '😀' x 21, 123456789012345678901] },
    choice => { bad => [@types, @blanks, @controls, 'x', 'male', ' MALE', "MALE\n", 'MALE,FEMALE', '1', 1, 0, '06', '00', '001', '0１', "'; DROP TABLE clinicq.patient; --"] },
    prefix => { bad => [@types, ' ', 'a', 'ABCDE', 'A B', 'É', '-', "A\n", '１'] },
    id => { bad => \@not_ids },
    number => { bad => [@types, @blanks, 'x', '99-99-998', 99, 1.5, "$number\n1", "' OR 1=1 --", '%', '_' x 9, '😀', 'x' x 3000] },
    ids => { bad => [$true, $false, [], {}, ['x'], { a => 1 }, [undef], 1, '', 'x', [1.5], ['1.5'], [[$queue]], [$queue, 999_999_999], [0], [-1], [(1) x 51]] },
    ids_or_none => { bad => [$true, $false, {}, ['x'], { a => 1 }, [undef], 1, '', 'x', [1.5], ['1.5'], [[$queue]], [$queue, 999_999_999], [0], [-1], [(1) x 51]] },
    rank => { bad => [@types, '', ' ', 'x', 1.5, -1, 32_768, '1e3', '9' x 40] },
    class => { bad => [@types, @blanks, @controls, 'X', 'é', '1x', 'a b', 'x' x 31, "a'b"] },
    username => { bad => [@types, @blanks, 'a b', 'é', "a\nb", 'x' x 151, "a'b", 'a/b', '😀', 'a"b', '<a>'] },
    password => { bad => [@types, '', 'short', 'x' x 11, 'x' x 129, '😀' x 129, 1234567] },
    credential => { bad => [@types, ''] },
    roles => { bad => [$true, 'doctor', 5, {}, ['x'], [1], [['doctor']], [undef], ['doctor', 'DOCTOR'], { doctor => $true }, ''] },
    member => { bad => [@types, @blanks, 'no.such.user', "a'b", '😀', 5] },
    reason => { bad => [@types, @blanks, @controls, 'nine char', 123456789, '😀' x 9, '😀' x 501, "ten or\nmore"] },
    review => { bad => [@types, @blanks, @controls, '😀' x 1001, "two\nlines"] },
    url => { bad => [@types, @blanks, @controls, 'x', 'clinic.example', 'http://clinic.example/', 'ftp://clinic.example/', 'https://', 'https:///x', 'https://a b/', 'https://clinic.example#x', 'https://' . 'x' x 500, 'javascript:alert(1)', "https://a.example/\nX: y"] },
    moves => { bad => [$true, {}, 'start', 5, [1], ['dance'], ['START'], [undef], [['start']], [('start') x 33]] },
    flag => { bad => ['true', 'false', 0, 1, '', [], {}, 'x'] },
    consent => { bad => ['True', 'false', 'yes', 0, 1, '', [], {}, 'x', $false] },
    channel => { null => 1, bad => [@types, @blanks, @controls, 'SMS', 'fax', 'drive', 1, "sms\n", 'x' x 3000] },
    phone_to => { bad => [@types, @blanks, @controls, 'x', '0300 1234567', '+1234567', '+1234567890123456', '+0300123456', '١٢٣٤٥٦٧٨٩', '+92１234567', 923001234567, '+' x 3000] },
    language => { bad => [@types, @blanks, @controls, 'EN', 'xx', 'english', "en\n", 5, "'"] },
    email => { null => 1, bad => [@types, @blanks, 'x', '@x.example', 'x@', "x\@x.example\r\nBcc: y\@x.example", 'x y@x.example', 'é@x.example', 'x' x 250 . '@x.example', 5, 'a@b@c'] },
);
my $patient = { name => sub { new_name() }, phone => sub { '1' }, gender => sub { 'MALE' }, category => sub { '01' } };
my $patient_kinds = [[name => 'name', 1], [phone => 'phone', 0], [gender => 'choice', 0], [category => 'choice', 0]];
my $patient_change = [map { [@$_[0, 1], 0] } @$patient_kinds];

# Patients can be told by SMS while this file runs.
set_setting(sms_account => 'AC1');
set_setting(sms_from => '+14155550100');
my @told = (notify_by => sub { 'sms' }, notify_to => sub { '+92 300 1234567' }, notify_consent => sub { $true });
my @contact = ([notify_by => 'channel', 1], [notify_to => 'phone_to', 1], [notify_language => 'language', 0], [notify_consent => 'consent', 1]);

# method, path, role, what is right, [field, kind, required]
my @routes = (
    [POST => '/api/patients/', 'assistant', $patient, $patient_kinds],
    [PUT => "/api/patients/$number/", 'assistant', $patient, $patient_kinds],
    [PATCH => "/api/patients/$number/", 'assistant', {}, $patient_change],
    [PATCH => "/api/patients/$number/access/", 'admin', {}, [[restricted => 'flag', 1]]],
    [POST => "/api/patients/$number/access/", 'admin', {}, [[username => 'member', 1]]],
    [POST => "/api/patients/$number/emergency/", 'doctor', {}, [[reason => 'reason', 1]]],
    [PATCH => '/api/emergency/1/', 'admin', {}, [[review => 'review', 1]]],
    [POST => '/api/visits/', 'assistant', { patient => sub { $number }, queue => sub { $queue }, @told }, [[patient => 'number', 1], [queue => 'id', 1], [priority => 'choice', 0], @contact]],
    [PATCH => "/api/visits/$visit->{id}/", 'assistant', { @told }, [[queue => 'id', 0], [priority => 'choice', 0], @contact]],
    [POST => '/api/queues/', 'admin', { name => sub { new_name() } }, [[name => 'queue_name', 1], [token_prefix => 'prefix', 0]]],
    [PATCH => "/api/queues/$queue/", 'admin', {}, [[name => 'queue_name', 0], [token_prefix => 'prefix', 0]]],
    [POST => "/api/queues/$queue/call_next/", 'doctor', {}, [[room => 'id', 0, 'null']]],
    [POST => '/api/call_next/', 'doctor', { queues => sub { [$queue] } }, [[queues => 'ids', 1], [room => 'id', 0, 'null']]],
    [POST => '/api/rooms/', 'admin', { name => sub { new_name() } }, [[name => 'queue_name', 1]]],
    [PATCH => "/api/rooms/$room/", 'admin', {}, [[name => 'queue_name', 0]]],
    [POST => '/api/priorities/', 'admin', { name => sub { 'x' . int rand 1e9 }, rank => sub { 2 + int rand 9 } }, [[name => 'class', 1], [rank => 'rank', 1], [reached_by_ageing => 'flag', 0]]],
    [PATCH => '/api/priorities/10/', 'admin', {}, [[name => 'class', 0], [rank => 'rank', 0], [reached_by_ageing => 'flag', 0]]],
    [POST => '/api/webhooks/', 'admin', { url => sub { 'https://clinic.example/told' } }, [[url => 'url', 1], [moves => 'moves', 0, 'null'], [queues => 'ids_or_none', 0, 'null']]],
    [POST => '/api/users/', 'admin', { username => \&username }, [[username => 'username', 1], [password => 'password', 0, 'null'], [roles => 'roles', 0], [email => 'email', 0]]],
    [PATCH => "/api/users/$user->{id}/", 'admin', {}, [[roles => 'roles', 0], [disabled => 'flag', 0], [email => 'email', 0]]],
    [POST => "/api/users/$user->{id}/password/", 'admin', {}, [[password => 'password', 1]]],
    [POST => '/api/auth/refresh/', undef, {}, [[refresh => 'credential', 1]]],
    [POST => '/api/auth/password/', 'doctor', { old_password => sub { 'x' }, password => sub { 'seven brass kettles 31' } }, [[old_password => 'credential', 1], [password => 'password', 1]]],
    [POST => '/api/auth/password_reset/', undef, {}, [[username => 'username', 1]]],
    [POST => '/api/auth/password_reset/confirm/', undef, { token => sub { 'x' }, password => sub { 'seven brass kettles 31' } }, [[token => 'credential', 1], [password => 'password', 1]]],
    [POST => '/api/auth/totp/', 'doctor', {}, [[password => 'credential', 1]]],
    [POST => '/api/auth/totp/confirm/', 'doctor', {}, [[code => 'credential', 1]]],
    [POST => '/api/auth/totp/remove/', 'doctor', {}, [[code => 'credential', 1]]],
    [POST => '/api/auth/login/', undef, { username => sub { 'doctor' }, password => sub { 'x' } }, [[username => 'credential', 1], [password => 'credential', 1]]],
);
is_deeply([sort map { "$_->[0] " . $_->[1] =~ s{/\d\d-\d\d-\d+/}{/{registration_number}/}r =~ s{/priorities/\d+/}{/priorities/{rank}/}r =~ s{/\d+/}{/{id}/}r } @routes],
    [sort map { "$_->{method} $_->{path}" } grep { $_->{body} eq 'fields' } UNSIGNED], 'every route that reads fields is here');

sub shown ($value) {
    my $text = JSON::PP->new->allow_nonref->ascii->encode($value);
    return length $text > 40 ? substr($text, 0, 40) . '...' : $text;
}
for my $route (@routes) {
    my ($method, $path, $role, $right, $fields) = @$route;
    my @as = $role ? (as => $role) : ();
    my $before = snapshot();
    for my $field (@$fields) {
        my ($name, $kind, $required, $null) = @$field;
        my %body = map { $_ => $right->{$_}->() } keys %$right;
        my @bad = @{ $kind{$kind}{bad} };
        push @bad, undef unless $kind{$kind}{null} || $null;
        my @wrong;
        for my $value (@bad) {
            my $reply = call($method => $path, @as, json => { %body, $name => $value });
            my $why = faults_in($reply, 400, [$name]);
            push @wrong, shown($value) . ": $why: " . substr $reply->{content}, 0, 200 if defined $why;
        }
        ok(!@wrong, "$method $path, $name: " . @bad . ' bad values, each 400 that names it') or diag(join "\n", @wrong);
        if ($required) {
            delete $body{$name};
            refused(call($method => $path, @as, json => \%body), 400, [$name], "... missing");
        }
        # What JSON itself cannot hold is malformed, in whatever field.
        for my $raw ('a\u0000b', '\ud800', '\udc00', '\ud83dx', '\ud83d\ud83d', '\x', "a\x01", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\x80") {
            my $reply = call($method => $path, @as, body => '{"' . $name . '":"' . $raw . '"}');
            my $why = faults_in($reply, 400, 'detail');
            ok(!defined $why, '... ' . $raw =~ s/([^ -~])/sprintf '<%02X>', ord $1/ger . ' is malformed') or diag("$why: $reply->{content}");
        }
        # The same by form: all is text there.
        for my $value ("a\x01b", "\xFF", '%00') {
            my $encoded = $value eq '%00' ? $value : join '', map { sprintf '%%%02X', ord } split //, $value;
            my $reply = call($method => $path, @as, body => "$name=$encoded", type => 'application/x-www-form-urlencoded');
            cmp_ok($reply->{status}, '==', 400, "... as a form, $encoded: 400") or diag($reply->{content});
        }
    }
    # All wrong at once: all named.
    my %all = map { $_->[0] => $_->[1] =~ /^(?:flag|consent)$/ ? 'x' : $true } @$fields;
    refused(call($method => $path, @as, json => \%all), 400, [keys %all], "$method $path: all wrong, all named");
    unchanged($before, "$method $path");
}

# Accepted as what they are: any text that is no control character.
my @texts = ('😀', "👩\x{200D}👩\x{200D}👧", "Z\x{0351}\x{0334}a\x{0300}lgo", "\x{202E}evil\x{202C}", "\x{200B}x", "\x{AD}x", "\x{FEFF}x", "x\x{FFFE}y", "\x{E000}", "\x{378}x", "\x{1FFFF}x",
    "\x{10FFFF}", "\x{2066}x\x{2069}", "\x{E0001}x", "'; DROP TABLE clinicq.patient; --", "' OR '1'='1", '$$; SELECT 1; $$', '\\', '\\\\', '"', '%s%n%x', '{"a":1}', '${jndi:ldap://x}',
    '../../etc/passwd', '%00', '\0', 'a&b=c', '<img src=x onerror=alert(1)>', "x" . "\x{301}" x 100, '1e999', 'true', '-', '٠١٢');
for my $text (@texts) {
    my $name = "$text " . new_name('n');
    my $reply = call(POST => '/api/patients/', as => 'assistant', json => { name => $name });
    ok($reply->{status} == 201 && $reply->{json}{name} eq $name, 'a name with ' . shown($text)) or diag("$reply->{status} $reply->{content}");
    my $again = call(GET => "/api/patients/$reply->{json}{registration_number}/", as => 'doctor');
    is($again->{json}{name}, $name, '... is read as it was written');
    my $found = call(GET => '/api/patients/search/?q=' . join('', map { sprintf '%%%02X', ord } split //, encode_utf8($name)), as => 'doctor');
    is($found->{json}{results}[0]{name} // '', $name, '... and found');
}
for my $word ('Queue') {
    my $name = "😀 '; DROP -- " . new_name($word);
    is(call(POST => '/api/queues/', as => 'admin', json => { name => $name })->{json}{name}, $name, 'a queue with such a name');
}
is(db("SELECT count(*) FROM pg_tables WHERE schemaname = 'clinicq' AND tablename IN ('patient', 'visit', 'queue', 'app_user')"), 4, 'all tables are still there');

# Right values at their ends.
answers(call(POST => '/api/patients/', as => 'assistant', json => { name => '😀' x 255, phone => '😀' x 20 }), 201, '255 and 20 characters, not bytes');
answers(call(POST => '/api/patients/', as => 'assistant', json => { name => ' ' x 500 . 'N' . ' ' x 500 }), 201, 'blanks at the ends do not count');
answers(call(POST => '/api/queues/', as => 'admin', json => { name => substr(new_name('q') . 'x' x 100, 0, 100), token_prefix => '09AZ' }), 201, 'a queue name of 100');
answers(call(POST => '/api/visits/', as => 'assistant', json => { patient => $number, queue => "\t$queue\n" }), 200, 'a number as text with blanks');

done_testing;
