# Proves section 1.4: which types of body are read and how, what is malformed, and that the actions of
# a visit never look at theirs.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $patients = '/api/patients/';
my $form = 'application/x-www-form-urlencoded';
sub create ($body, $type, %how) { return call(POST => $patients, as => 'assistant', body => $body, type => $type, %how) }
sub made ($reply, $name, $what) {
    ok($reply->{status} == 201 && $reply->{json}{name} eq $name, $what) or diag("$reply->{status} $reply->{content}");
    return $reply;
}

# JSON, whatever its parameters say.
for my $type ('application/json', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'application/json; charset=latin1',
    'Application/JSON', 'APPLICATION/JSON; charset="utf-16"', 'application/json ; x=y') {
    my $name = new_name('Zoë 李');
    made(create(json({ name => $name }), $type), $name, "$type");
}
my $name = new_name();
made(create(" \n\t{ \"name\" :\t\"$name\" } \r\n", 'application/json'), $name, 'blanks round everything');
$name = new_name();
made(create("{\"name\":\"a\",\"name\":5,\"name\":\"$name\"}", 'application/json'), $name, 'a key given twice: the last counts');
$name = new_name();
my $reply = made(create(json({ name => $name, registration_number => '77-77-777', id => 1, created_at => 'x', removed_at => 1,
    last_5_visit_dates => 7, colour => ['blue'], '' => {} }), 'application/json'), $name, 'unknown and read-only keys are ignored');
isnt($reply->{json}{registration_number}, '77-77-777', '... the number too');
made(create(encode_utf8('{"name":"\u004aos\u00e9 \ud83d\ude00 ' . ($name = new_name()) . '"}'), 'application/json'), "José 😀 $name", 'escapes, a pair of surrogates too');
made(create('{"name":17}', 'application/json'), '17', 'a number is taken as text');
made(create('{"name":1234567.0250}', 'application/json'), '1234567.0250', '... as it was written');

# Forms.
$name = new_name('Zoë');
my $escaped = join '', map { /[A-Za-z0-9]/ ? $_ : $_ eq ' ' ? '+' : sprintf '%%%02X', ord } split //, encode_utf8($name);
made(create("name=$escaped&gender=FEMALE&phone=%2B1+2", $form), $name, 'a urlencoded form');
$name = new_name();
$reply = made(create("name=x&phone=1&name=" . $name =~ s/ /%20/gr . "&phone=%2B49+89&x=", "$form; charset=UTF-8"), $name, '... the last of a repeated name counts');
is($reply->{json}{phone}, '+49 89', '... a + is a blank, %2B a plus');
made(create('name=' . ($name = new_name('Raw')) =~ s/ /+/gr . '&gender=OTHER&&=', $form), $name, '... empty pairs do no harm');
refused(create('gender=MALE', $form), 400, ['name'], '... without the name');
refused(create('name=%FF%FE', $form), 400, 'detail', '... in no encoding');
refused(create('name=a%00b', $form), 400, 'detail', '... with NUL');
refused(create('name=' . join('&', map { "k$_=1" } 1 .. 2000), $form), 400, 'detail', '... with too many fields');

sub multipart ($boundary, @parts) {
    return join('', map { "--$boundary\r\nContent-Disposition: form-data; $_->[0]\r\n" . ($_->[2] // '') . "\r\n$_->[1]\r\n" } @parts) . "--$boundary--\r\n";
}
$name = new_name('Zoë');
my $body = multipart('XyZ', ['name="name"', encode_utf8($name)], ['name="gender"', 'MALE'], ['name="phone"', ''],
    ['name="image"; filename="a.jpg"', "\xFF\xD8\x00\x01", "Content-Type: image/jpeg\r\n"]);
$reply = made(create($body, 'multipart/form-data; boundary=XyZ'), $name, 'multipart; a file part is ignored');
is_deeply([@{ $reply->{json} }{qw(gender phone)}], ['MALE', ''], '... empty parts are empty texts');
$name = new_name();
made(create(multipart('a b', ['name="name"', $name, "Content-Type: text/plain; charset=UTF-8\r\n"]), 'multipart/form-data; charset=x; boundary="a b"'), $name, '... a quoted boundary');
$name = new_name();
made(create("--q\r\ncontent-disposition:form-data;name=name\r\n\r\nx\r\n" . multipart('q', ['name="name"', $name]), 'Multipart/Form-Data; Boundary=q'), $name, '... names without quotes; the last counts');
refused(create(multipart('q', ['name="name"', "\xFF"]), 'multipart/form-data; boundary=q'), 400, 'detail', '... in no encoding');
refused(create(multipart('q', ['name="name"', "a\0b"]), 'multipart/form-data; boundary=q'), 400, 'detail', '... with NUL');
my %broken = (
    'no boundary' => ['multipart/form-data', $body], 'an empty boundary' => ['multipart/form-data; boundary=', $body],
    'another boundary' => ['multipart/form-data; boundary=other', $body], 'a boundary too long' => ['multipart/form-data; boundary=' . 'b' x 71, $body],
    'no end' => ['multipart/form-data; boundary=XyZ', substr($body, 0, -6)], 'no parts' => ['multipart/form-data; boundary=XyZ', 'nothing'],
    'half a header' => ['multipart/form-data; boundary=q', "--q\r\nContent-Disp"], 'no disposition' => ['multipart/form-data; boundary=q', "--q\r\n\r\nx\r\n--q--"],
    'no name' => ['multipart/form-data; boundary=q', multipart('q', ['filename="x"', 'y'])],
    'an endless header' => ['multipart/form-data; boundary=q', "--q\r\nX: " . 'y' x 9000 . "\r\n\r\nx\r\n--q--"],
    'a thousand parts' => ['multipart/form-data; boundary=q', multipart('q', map { ["name=\"n$_\"", 'x'] } 1 .. 1000)],
);
my $before = snapshot();
refused(create($broken{$_}[1], $broken{$_}[0]), 400, 'detail', "multipart with $_ is 400") for sort keys %broken;

# Other types.
for my $type ('text/plain', 'application/xml', 'text/json', 'application/jsonx', 'application/problem+json', 'application/octet-stream', 'x', '*/*', ', ') {
    refused(create('{"name":"A"}', $type), 415, 'detail', "$type is 415");
}
refused(parse_reply(wire("POST $patients HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token " . token('assistant')
    . "\r\nContent-Length: 12\r\n\r\n{\"name\":\"A\"}")->{bytes}), 415, 'detail', 'a body without a type is 415');

# Malformed JSON.
my %malformed = (
    'an open brace' => '{', 'no quotes' => '{name:"A"}', 'single quotes' => "{'name':'A'}", 'a comma at the end' => '{"name":"A",}',
    'a comment' => '{"name":"A"/*x*/}', 'two values' => '{"name":"A"}{}', 'NaN' => '{"name":NaN}', 'Infinity' => '{"name":Infinity}', '-Infinity' => '{"name":-Infinity}',
    'a bare word' => 'name', 'an escape that is none' => '{"name":"\x41"}', 'a raw line end in a text' => "{\"name\":\"a\nb\"}", 'a raw tab in a text' => "{\"name\":\"a\tb\"}",
    'a lone surrogate' => '{"name":"\ud800"}', 'a lone low one' => '{"name":"\udc00x"}', 'surrogates the wrong way round' => '{"name":"\ude00\ud83d"}', 'NUL escaped' => '{"name":"a\u0000b"}',
    'NUL as a key' => '{"a\u0000":1,"name":"A"}', 'a zero in front' => '{"name":007}', 'a number that ends in a point' => '{"name":1.}', 'True' => '{"name":True}',
    'NUL' => "{\"name\":\"a\0b\"}", 'NUL at the end' => "{\"name\":\"A\"}\0", 'bytes that are no UTF-8' => "{\"name\":\"\xFF\"}", 'Latin-1' => "{\"name\":\"Jos\xE9\"}",
    'half a character' => "{\"name\":\"\xE2\x82\"}", 'an over-long form' => "{\"name\":\"\xC0\xAF\"}", 'a surrogate in UTF-8' => "{\"name\":\"\xED\xA0\x80\"}",
    'beyond Unicode' => "{\"name\":\"\xF4\x90\x80\x80\"}", 'UTF-16' => "\xFE\xFF\0{\0}", 'a BOM' => "\xEF\xBB\xBF{\"name\":\"A\"}",
    'ten thousand brackets' => '[' x 10_000, 'deep nesting' => '{"name":' . '[' x 20_000 . ']' x 20_000 . '}', 'blanks alone' => '   ',
    'a huge exponent' => '{"name":1e1000000}',
);
for my $what (sort keys %malformed) {
    refused(create($malformed{$what}, 'application/json'), 400, 'detail', "$what is 400 with a detail");
}
for my $top ('[]', '[{"name":"A"}]', '"A"', '1', 'true', 'null', ' null ') {
    refused(create($top, 'application/json'), 400, ['non_field_errors'], "$top at the top: non_field_errors");
}
refused(create('', 'application/json'), 400, ['name'], 'an empty body is an empty object');
refused(create('', 'text/plain'), 400, ['name'], '... of any type');
refused(call(POST => $patients, as => 'assistant'), 400, ['name'], 'no body at all, likewise');
unchanged($before, 'malformed bodies');
answers(create('{"name":"' . 'x' x 66_000 . '"}', 'application/json'), 413, 'a body over the limit of the route is 413');

# The same holds wherever fields are read.
my $queue = new_queue();
my $visit = new_visit($queue);
my $user = new_user('display');
my $restricted = '/api/patients/' . new_patient()->{registration_number};
call(PATCH => "$restricted/access/", as => 'admin', json => { restricted => JSON::PP::true() });
my $emergency = call(POST => "$restricted/emergency/", as => 'doctor', json => { reason => 'brought in unconscious' })->{json};
my $room = call(POST => '/api/rooms/', as => 'admin', json => { name => new_name('Room') })->{json};
my %there = (id => { rooms => $room->{id}, queues => $queue, visits => $visit->{id}, users => $user->{id}, emergency => $emergency->{id} });
$before = snapshot();
for my $route (grep { $_->{body} eq 'fields' } UNSIGNED) {
    my ($family) = $route->{path} =~ m{^/api/(\w+)/};
    my $path = path_of($route, id => $there{id}{$family}, registration_number => $visit->{patient}, rank => 10);
    refused(call($route->{method} => $path, as => 'admin', body => '{"a":', type => 'application/json'), 400, 'detail', "$route->{method} $route->{path}: malformed JSON");
    refused(call($route->{method} => $path, as => 'admin', body => "{\"\xFF\":1}", type => 'application/json'), 400, 'detail', '... no UTF-8');
    refused(call($route->{method} => $path, as => 'admin', body => '[1]', type => 'application/json'), 400, ['non_field_errors'], '... not an object');
    refused(call($route->{method} => $path, as => 'admin', body => 'x', type => 'text/csv'), 415, 'detail', '... another type');
    refused(call($route->{method} => $path, as => 'admin', body => 'x', type => 'multipart/form-data'), 400, 'detail', '... no boundary');
}
unchanged($before, 'the same on every route');

# Actions and other routes without fields read none.
my @ways = (['no body'], ['malformed JSON', body => '{"broken', type => 'application/json'], ['a picture', body => "\xFF\xD8\0", type => 'image/jpeg'],
    ['JSON of another state', json => { status => 'DONE', token_number => 99 }], ['broken multipart', body => 'x', type => 'multipart/form-data'],
    ['no type', body => 'abc', type => ''], ['a list', json => [1]]);
for my $way (@ways) {
    my ($what, @how) = @$way;
    my $other = new_visit($queue);
    for my $step (qw(start send_back_to_waiting start in_room done)) {
        answers(move($other, $step, @how), 200, "$step with $what");
    }
    answers(call(POST => '/api/auth/logout/', token => new_user()->{token}, @how), 204, "log-out with $what");
}
answers(move(new_visit($queue), 'start', body => 'x' x 70_000, type => 'text/plain'), 413, 'even there a body has its limit');

done_testing;
