# Proves prescriptions over HTTP as the apps use them: an image is sent in a form, in one piece or over a slow
# line, and comes back byte for byte by an address that opens without a header.
use v5.36;
use utf8;
use lib 'lib';
use ClinicQ;
use Digest::SHA qw(sha256_hex hmac_sha256_hex);
use HTTP::Tiny;
use Test::More;

local $SIG{PIPE} = 'IGNORE';
my $prescriptions = '/api/prescriptions/';
my $queue = new_queue();
my $patient = new_patient();
my $visit = new_visit($queue, $patient->{registration_number})->{id};

# Files that begin as they should, with contents that no form can be taken for.
my $serial = 0;
sub noise ($size) { srand(++$serial * 7919); return join '', map { pack 'N*', map { int rand 4294967296 } 1 .. 256 } 1 .. $size / 1024 + 1 }
sub png ($size = 100) { return substr "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . noise($size), 0, $size }
sub pdf ($size = 100) { return substr '%PDF-1.7' . noise($size), 0, $size }
sub jpeg ($scan) { return "\xff\xd8\xff\xdb\0\4ab\xff\xda\0\4cd" . ($scan =~ s/\xff/\xfe/gr) . "\xff\xd9" }

sub form ($boundary, @parts) {
    return join('', map { "--$boundary\r\nContent-Disposition: form-data; $_->[0]\r\n" . ($_->[2] // '') . "\r\n$_->[1]\r\n" } @parts) . "--$boundary--\r\n";
}
sub image_form ($visit_id, $bytes, $name = 'image') {
    return form('XyZ', ['name="visit"', $visit_id], [qq(name="$name"; filename="a.jpg"), $bytes, "Content-Type: image/jpeg\r\n"]);
}
my $type = 'multipart/form-data; boundary=XyZ';
sub send_form ($body, %how) { return call(POST => $prescriptions, as => 'doctor', body => $body, type => $type, %how) }
sub send_image ($bytes, %how) { return send_form(image_form($how{visit} // $visit, $bytes, $how{name} // 'image'), %how) }
sub path_in ($url) { return $url =~ s{^http://[^/]+}{}r }
sub image_of ($prescription, %how) { return call(($how{method} // 'GET') => path_in($prescription->{image_url}), %how) }

# As the web app: visit and image.
my $bytes = png(1000);
my $reply = send_image($bytes);
answers($reply, 201, 'a prescription');
my $made = $reply->{json};
is(join(' ', sort keys %$made), 'created_at created_by drive_file_id drive_url id image_url media_type size visit', 'all members');
is("$made->{visit} $made->{drive_file_id} $made->{media_type} $made->{size}", "$visit  image/png 1000", 'with their values');
like($made->{image_url}, qr{^\Q$ENV{CLINICQ_URL}\E/api/prescriptions/$made->{id}/image/\?user=\d+&expires=\d+&signature=[0-9a-f]{64}$}, 'an absolute address');
my $image = image_of($made);
answers($image, 200, 'it opens without a header');
is(sha256_hex($image->{content}), sha256_hex($bytes), 'byte for byte');
my %expected = ('content-type' => 'image/png', 'content-length' => 1000, 'x-content-type-options' => 'nosniff', 'content-security-policy' => "sandbox; default-src 'none'",
    'content-disposition' => qq(inline; filename="prescription-$made->{id}.png"), 'cache-control' => 'private, max-age=300', 'cross-origin-resource-policy' => 'cross-origin', 'accept-ranges' => 'bytes');
is($image->{headers}{$_}, $expected{$_}, $_) for sort keys %expected;
is(join(' ', grep { /^(body|next)-/ } keys %{ $image->{headers} }), '', 'what is for the shim stays there');
is(image_of($made, headers => { Authorization => 'Token nonsense' })->{status}, 200, 'whatever header comes along');
my $head = image_of($made, method => 'HEAD');
is("$head->{status} $head->{headers}{'content-length'} " . length($head->{content} // ''), '200 1000 0', 'HEAD');
answers(send_image($bytes), 200, 'the same image again is the same prescription');
is(send_image($bytes)->{json}{id}, $made->{id}, '... with its id');
answers(send_image($bytes, visit => new_visit($queue)->{id}), 201, 'on another visit it is another');
is(db("SELECT count(*) FROM clinicq.image WHERE sha256 = '\\x" . sha256_hex($bytes) . "'"), 1, 'stored once');

# As the mobile app: another name, other parts, another order.
$bytes = pdf(300);
$reply = send_form(form('XyZ', ['name="file"; filename="photo.jpg"', $bytes, "Content-Type: image/jpeg\r\n"], ['name="patient"', 'x'], ['name="description"', encode_utf8('süß')], ['name="visit"', " $visit "]));
answers($reply, 201, 'a part named file, before the others');
is($reply->{json}{media_type}, 'application/pdf', 'the type is that of the bytes, not the one that was sent');
is(image_of($reply->{json})->{headers}{'content-disposition'}, qq(attachment; filename="prescription-$reply->{json}{id}.pdf"), 'a document is to be saved');
is(db("SELECT string_agg(bytes, '' ORDER BY start) = '\\x" . unpack('H*', $bytes) . "' FROM clinicq.image_chunk JOIN clinicq.image i ON i.id = image_id WHERE media_type = 'application/pdf'"), 't', 'its bytes');
answers(send_form(form('XyZ', ['name="visit"', $visit], ['name="image"; filename="a"', $bytes = png(50)], ['name="image"; filename="b"', png(60)])), 201, 'of two files the first counts');

# Sizes, about those of the pieces that it is sent and read in.
for my $size (262_143, 262_144, 262_145, 524_288, 1_000_000) {
    my $large = png($size);
    my $sent = send_image($large);
    answers($sent, 201, "$size bytes");
    is(sha256_hex(image_of($sent->{json})->{content} // ''), sha256_hex($large), '... come back');
}
my $large = png(700_001);
my $sent = send_image($large)->{json};
my $etag = image_of($sent)->{headers}{etag};
for my $case (['bytes=0-9', 206, 0, 10], ['bytes=699990-', 206, 699_990, 11], ['bytes=-7', 206, 699_994, 7], ['bytes=262140-262150', 206, 262_140, 11], ['bytes=100-600100', 206, 100, 600_001], ['bytes=0-700000', 206, 0, 700_001], ['bytes=5-3', 200, 0, 700_001], ['bytes=0-1,4-5', 200, 0, 700_001]) {
    my ($range, $status, $from, $length) = @$case;
    my $part = image_of($sent, headers => { Range => $range });
    is("$part->{status} $part->{headers}{'content-length'}", "$status $length", "Range: $range");
    is(sha256_hex($part->{content}), sha256_hex(substr $large, $from, $length), '... has those bytes');
    is($part->{headers}{'content-range'}, $status == 206 ? sprintf('bytes %d-%d/700001', $from, $from + $length - 1) : undef, '... and says which');
}
my $beyond = image_of($sent, headers => { Range => 'bytes=700001-' });
is("$beyond->{status} $beyond->{headers}{'content-range'}", '416 bytes */700001', 'beyond the end');
is(image_of($sent, headers => { Range => 'bytes=0-9', 'If-Range' => $etag })->{status}, 206, 'If-Range with the ETag');
is(image_of($sent, headers => { Range => 'bytes=0-9', 'If-Range' => '"other"' })->{status}, 200, '... and with another');
is(image_of($sent, headers => { Range => 'bytes=0-9', 'If-Range' => 'Sat, 21 Nov 2026 06:00:00 GMT' })->{status}, 200, '... and with a date');
is(wire("GET @{[path_in($sent->{image_url})]} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=0-9\r\nIf-Range: \xc3\xa4\r\n\r\n")->{status}, 200, '... and with what is none');
my $again = image_of($sent, headers => { 'If-None-Match' => $etag });
is("$again->{status} $again->{headers}{etag} " . length($again->{content} // ''), "304 $etag 0", 'If-None-Match');
is($again->{headers}{'content-length'} // 700_001, 700_001, '... with no other length');
is(image_of($sent, headers => { 'If-None-Match' => '"other"' })->{status}, 200, '... of another');
my $old = wire("GET @{[path_in($sent->{image_url})]} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
is(sha256_hex($old->{content}), sha256_hex($large), 'in HTTP/1.0 too');
answers(image_of($sent, headers => { Range => "bytes=0-9" }, method => 'HEAD'), 206, 'HEAD of a part');

# The limit.
set_setting('image_limit_mib', 1);
answers(send_image(png(1_048_576)), 201, 'as large as may be');
my $over = png(1_048_577);
refused(send_image($over), 413, 'detail', 'one byte more');
my $started = time;
my $early = wire("POST $prescriptions HTTP/1.1\r\nHost: a\r\nAuthorization: Token @{[token('doctor')]}\r\nContent-Type: $type\r\nContent-Length: 1200000\r\n\r\n", 3);
is("$early->{status} $early->{closed}", '413 1', 'which is said before the body comes');
for my $case (['no token', 401, ''], ['an assistant', 403, "Authorization: Token @{[token('assistant')]}\r\n"], ['a display', 403, "Authorization: Token @{[token('display')]}\r\n"],
    ['JSON', 415, "Authorization: Token @{[token('doctor')]}\r\n", 'application/json'], ['no boundary', 400, "Authorization: Token @{[token('doctor')]}\r\n", 'multipart/form-data'],
    ['urlencoded', 400, "Authorization: Token @{[token('doctor')]}\r\n", 'application/x-www-form-urlencoded'], ['no type', 415, "Authorization: Token @{[token('doctor')]}\r\n", undef]) {
    my ($what, $status, $header, $other) = @$case;
    my $content_type = @$case > 3 ? defined $other ? "Content-Type: $other\r\n" : '' : "Content-Type: $type\r\n";
    my $at_once = wire("POST $prescriptions HTTP/1.1\r\nHost: a\r\n${header}${content_type}Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n", 3);
    is("$at_once->{status} $at_once->{closed}", "$status 1", "$what: $status before the body comes");
}
cmp_ok(time - $started, '<', 5, '... and at once');
my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack '(a60000)*', image_form($visit, $over);
my $endless = wire("POST $prescriptions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token @{[token('doctor')]}\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n", 10);
is($endless->{status}, 413, 'in chunks it is seen when it comes');
$chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack '(a7000)*', image_form($visit, my $chunked = png(400_000));
$reply = wire("POST $prescriptions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token @{[token('doctor')]}\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n", 10);
is("$reply->{status} " . ($reply->{json}{size} // ''), '201 400000', 'a body without a length is fine');
set_setting('image_limit_mib', 20);
SKIP: {
    my $most = png(20 * 1024 * 1024);
    my $all = send_image($most);
    answers($all, 201, '20 MiB');
    is(sha256_hex(image_of($all->{json})->{content}), sha256_hex($most), '... come back');
}

# What is refused, all as {"detail": ...}.
my $file = ['name="image"; filename="a"', png(80)];
refused(send_form(form('XyZ', @{ $_->[1] })), $_->[2] // 400, 'detail', $_->[0]) for
    ['no image', [['name="visit"', $visit]]], ['no visit', [$file]], ['an empty visit', [['name="visit"', ''], $file]], ['a visit that is none', [['name="visit"', 'x'], $file]],
    ['a fraction', [['name="visit"', "$visit.5"], $file]], ['an unknown visit', [['name="visit"', 999_999_999], $file], 404], ['a text for a file', [['name="visit"', $visit], ['name="image"', 'text']]],
    ['a file named otherwise', [['name="visit"', $visit], ['name="photo"; filename="a"', png(80)]]], ['an empty file', [['name="visit"', $visit], ['name="image"; filename="a"', '']]],
    ['a text that is not UTF-8', [['name="visit"', $visit], ['name="x"', "\xff"], $file]], ['a GIF', [['name="visit"', $visit], ['name="image"; filename="a"', 'GIF89a' . noise(100)]], 415],
    ['a page', [['name="visit"', $visit], ['name="image"; filename="a.png"', '<html><script>alert(1)</script>', "Content-Type: image/png\r\n"]], 415],
    ['a JPEG cut off in its head', [['name="visit"', $visit], ['name="image"; filename="a"', "\xff\xd8\xff\xe1\xff\xf0Exif"]]];
my $whole = image_form($visit, png(5000));
refused(send_form($_->[1]), 400, 'detail', "a form $_->[0]") for ['cut off', substr $whole, 0, 3000], ['without its end', substr $whole, 0, -6], ['of nothing', ''], ['with another boundary', $whole =~ s/XyZ/XyY/gr],
    ['without headers', "--XyZ\r\n\r\nx\r\n--XyZ--\r\n"], ['with endless headers', "--XyZ\r\n" . 'X: ' . 'y' x 5000 . "\r\n\r\nx\r\n--XyZ--\r\n"],
    ['with endless texts', form('XyZ', ['name="visit"', 'x' x 70000])], ['of too many parts', form('XyZ', map { ["name=\"a$_\"", 'x'] } 1 .. 200)], ['that begins otherwise', "\r\n\r\n$whole"],
    ['with something behind a boundary', $whole =~ s/--XyZ\r\n/--XyZx\r\n/r];
answers(send_form("\r\n$whole"), 201, 'a line end before it is fine');
answers(send_form(image_form($visit, png(5000)) . 'epilogue' x 1000), 201, 'and something behind it');
my $near = png(300_000) . "\r\n--XyY\r\n--XyZ" . "\r\n--Xy" . "\r\r\n-" . png(1000);
$reply = send_image($near =~ s/\r\n--XyZ/\r\n-\r\n--Xy/r);
is(sha256_hex(image_of($reply->{json})->{content}), sha256_hex($near =~ s/\r\n--XyZ/\r\n-\r\n--Xy/r), 'what looks like a boundary is none');

# However the bytes are cut.
for my $case ([1, 900], [7, 3000], [73, 60_000], [5000, 600_000]) {
    my ($step, $size) = @$case;
    my $socket = connect_to();
    my $cut = png($size);
    my $body = image_form($visit, $cut);
    syswrite $socket, "POST $prescriptions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token @{[token('doctor')]}\r\nContent-Type: $type\r\nContent-Length: @{[length $body]}\r\n\r\n";
    setsockopt $socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;
    for (my $at = 0; $at < length $body; $at += $step) { syswrite $socket, substr $body, $at, $step }
    my $got = parse(scalar read_all($socket, 10));
    is($got->{status}, 201, "in steps of $step");
    is(sha256_hex(image_of($got->{json})->{content} // ''), sha256_hex($cut), '... whole');
}
sub parse ($all) { return ClinicQ::parse_reply($all) }

# A slow line holds no connection to the database while it waits.
my $held = q(FROM pg_stat_activity WHERE usename = 'clinicq_shim' AND state <> 'idle');
my @slow = map { connect_to() } 1 .. 8;
my $slow = png(400_000);
my $slow_body = image_form($visit, $slow);
for my $socket (@slow) {
    syswrite $socket, "POST $prescriptions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token @{[token('doctor')]}\r\nContent-Type: $type\r\nContent-Length: @{[length $slow_body]}\r\n\r\n" . substr $slow_body, 0, 300_000;
}
ok(wait_for(10, sub { db('SELECT count(*) FROM clinicq.upload WHERE received > 200000') >= 8 }), 'eight uploads wait in the middle');
ok(wait_for(5, sub { db("SELECT count(*) $held") == 0 }), 'no connection works for them');
like(HTTP::Tiny->new->get("$ENV{CLINICQ_METRICS_URL}/metrics")->{content}, qr/^clinicq_uploads 8$/m, 'the metric counts them');
answers(call(GET => '/api/queues/', as => 'doctor'), 200, 'and others are served');
my %ids;
for my $socket (@slow) {
    syswrite $socket, substr $slow_body, 300_000;
    my $got = parse(scalar read_all($socket, 10));
    $ids{ $got->{json}{id} // 'none' }++;
}
is(scalar keys %ids, 1, 'the same image by all of them at once is one prescription');
is(db('SELECT count(*) FROM clinicq.upload u JOIN clinicq.app_user a ON a.id = u.user_id WHERE a.username = \'doctor\' AND received > 200000'), 0, 'nothing of them is left');

# Too many at once, of a user and of the shim.
set_setting('uploads_of_user', 1);
my $first = connect_to();
syswrite $first, "POST $prescriptions HTTP/1.1\r\nHost: a\r\nAuthorization: Token @{[token('admin')]}\r\nContent-Type: $type\r\nContent-Length: 5000\r\n\r\n--XyZ";
ok(wait_for(5, sub { db(q(SELECT count(*) FROM clinicq.upload u JOIN clinicq.app_user a ON a.id = u.user_id WHERE a.username = 'admin')) == 1 }), 'one upload');
answers(my $busy = send_image(png(50), as => 'admin'), 429, 'another one of the same user');
is($busy->{headers}{'retry-after'}, 5, '... is told when to try again');
set_setting('uploads_of_user', 16);
close $first;
my $small = start_shim(CLINICQ_UPLOADS => 1, CLINICQ_UPLOAD_TIMEOUT_MS => 1500, CLINICQ_RECEIVE_TIMEOUT_MS => 300);
$first = connect_to(url_port($small->{url}));
$started = time;
syswrite $first, "POST $prescriptions HTTP/1.1\r\nHost: a\r\nAuthorization: Token @{[token('admin')]}\r\nContent-Type: $type\r\nContent-Length: 5000\r\n\r\n--XyZ";
ok(wait_for(5, sub { HTTP::Tiny->new->get("$small->{metrics}/metrics")->{content} =~ /^clinicq_uploads 1$/m }), 'one upload at another shim');
refused(send_image(png(50), url => $small->{url}), 503, 'detail', 'more than the shim takes');
my (undef, $closed) = read_all($first, 5);
ok($closed && time - $started > 1 && time - $started < 4, 'there is a time for all of it, beyond that of other bodies');
answers(send_image(png(51), url => $small->{url}), 201, 'then there is room again');

# A shim that dies in the middle leaves nothing, once the time of its uploads is over.
my @dying = map { connect_to(url_port($small->{url})) } 1;
syswrite $dying[0], "POST $prescriptions HTTP/1.1\r\nHost: a\r\nAuthorization: Token @{[token('admin')]}\r\nContent-Type: $type\r\nContent-Length: @{[length $slow_body]}\r\n\r\n" . substr $slow_body, 0, 300_000;
ok(wait_for(5, sub { db('SELECT count(*) FROM clinicq.upload_chunk') > 0 }), 'an upload in the middle');
$small->signal('KILL');
$small->wait;
cmp_ok(db('SELECT count(*) FROM clinicq.upload'), '>', 0, 'its shim is killed');
db(q(UPDATE clinicq.upload SET used_at = used_at - interval '5 minutes'));
answers(send_image(png(52)), 201, 'the next upload');
is(db('SELECT (SELECT count(*) FROM clinicq.upload) + (SELECT count(*) FROM clinicq.upload_chunk)'), 0, 'removes what it left');

# An Idempotency-Key.
$bytes = png(270_000);
my %key = (headers => { 'Idempotency-Key' => 'image-1' });
my $keyed = send_image($bytes, %key);
answers($keyed, 201, 'with an Idempotency-Key');
my $repeat = send_image($bytes, %key);
is("$repeat->{status} $repeat->{json}{id} " . ($repeat->{headers}{'idempotency-replayed'} // ''), "201 $keyed->{json}{id} true", 'a repeat gets the same reply');
answers(send_image(png(90), %key), 422, 'another image with that key does not');
answers(call(DELETE => "$prescriptions$keyed->{json}{id}/", as => 'doctor'), 204, 'removed');
is(send_image($bytes, %key)->{json}{id}, $keyed->{json}{id}, 'a repeat is not done again');

# Metadata of a JPEG.
my $exif = "Exif\0\0II*\0\10\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0GPS 31.5204 N 74.3587 E";
my $plain = jpeg(noise(3000));
my $tagged = "\xff\xd8\xff\xe1" . pack('n', 2 + length $exif) . $exif . substr $plain, 2;
$reply = send_image($tagged);
answers($reply, 201, 'a JPEG with a position');
$image = image_of($reply->{json});
unlike($image->{content}, qr/GPS/, 'has none any more');
is($image->{content}, "\xff\xd8\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\10\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0" . substr($plain, 2), 'but its orientation and its picture');
is(db("SELECT encode(original_sha256, 'hex') FROM clinicq.prescription WHERE id = $reply->{json}{id}"), sha256_hex($tagged), 'the hash of what was sent is kept');

# Reading, listing, hiding.
my $one = $reply->{json};
is_deeply(call(GET => "$prescriptions$one->{id}/", as => 'doctor')->{json}, $one, 'one of them');
my $list = call(GET => "$prescriptions?visit=$visit", as => 'doctor')->{json};
is($list->{results}[0]{id}, $one->{id}, 'the newest first');
is($list->{count}, db("SELECT count(*) FROM clinicq.prescription WHERE visit_id = $visit AND removed_at IS NULL"), 'all of the visit');
is(call(GET => "$prescriptions?patient=$patient->{registration_number}", as => 'assistant')->{json}{count}, $list->{count}, 'of the patient');
is(call(GET => "$prescriptions?patient=09-99-999", as => 'assistant')->{json}{count}, 0, 'of nobody');
refused(call(GET => "$prescriptions?visit=x", as => 'doctor'), 400, ['visit'], 'of what is no visit');
my $tag = call(GET => "$prescriptions?visit=$visit", as => 'doctor')->{headers}{etag};
answers(call(GET => "$prescriptions?visit=$visit", as => 'doctor', headers => { 'If-None-Match' => $tag }), 304, 'a list has an ETag, addresses and all');
refused(call(GET => $_, as => 'display'), 403, 'detail', "a display may not: $_") for $prescriptions, "$prescriptions$one->{id}/";
refused(call(DELETE => "$prescriptions$one->{id}/", as => 'assistant'), 403, 'detail', 'an assistant hides none');
refused(call($_ => "$prescriptions$one->{id}/", as => 'doctor', json => { visit => 1 }), 405, 'detail', "$_ is not there") for qw(PUT PATCH);
set_setting('assistants_upload_images', 'on');
answers(send_image(png(70), as => 'assistant'), 201, 'an assistant sends some where the clinic lets him');
set_setting('assistants_upload_images', 'off');
answers(call(DELETE => "$prescriptions$one->{id}/", as => 'doctor'), 204, 'hidden');
refused(call(GET => "$prescriptions$one->{id}/", as => 'doctor'), 404, 'detail', 'it is gone');
refused(image_of($one), 404, 'detail', 'with its image');

# Addresses.
my $url = path_in($sent->{image_url});
my ($user, $expires, $signature) = $url =~ /user=(\d+)&expires=(\d+)&signature=([0-9a-f]+)$/;
my $key = pack 'H*', db(q(SELECT encode(key, 'hex') FROM clinicq.signing_key WHERE name = 'image'));
is(hmac_sha256_hex("image $sent->{id} $user $expires", $key), $signature, 'signed by HMAC-SHA-256');
cmp_ok($expires, '>', time + 2 * 86400 - 1, 'good for two days at the least');
refused(call(GET => $_->[1]), 404, 'detail', "forged: $_->[0]") for ['signature', $url =~ s/(.)$/$1 eq '0' ? '1' : '0'/er], ['end', $url =~ s/expires=\d/expires=9/r], ['user', $url =~ s/user=\d+/user=1000/r],
    ['image', $url =~ s{/\d+/image}{/$made->{id}/image}r], ['none', "$prescriptions$sent->{id}/image/"], ['twice', $url . '&user=1000'];
my $past = int(time) - 10;
refused(call(GET => "$prescriptions$sent->{id}/image/?user=$user&expires=$past&signature=" . hmac_sha256_hex("image $sent->{id} $user $past", $key)), 410, 'detail', 'too old');
ok(!(grep { /$signature|signature=/ } log_lines()), 'no address is in the log');
ok(!(grep { /\Q$signature\E/ } db_rows(q(SELECT changes::text FROM clinicq.audit_event))), 'nor in the audit log');

# Restricted patients.
my $famous = new_patient();
my $secret = send_image(png(77), visit => new_visit($queue, $famous->{registration_number})->{id})->{json};
answers(image_of($secret), 200, 'an image of somebody');
answers(call(PATCH => "/api/patients/$famous->{registration_number}/access/", as => 'admin', json => { restricted => JSON::PP::true }), 200, 'who is restricted then');
refused(image_of($secret), 403, 'detail', 'the address opens no more');
refused(call(GET => "$prescriptions$secret->{id}/", as => 'doctor'), 403, 'detail', 'nor is it read');
is(call(GET => "$prescriptions?visit=$secret->{visit}", as => 'doctor')->{json}{count}, 0, 'or listed');
refused(send_image(png(78), visit => $secret->{visit}), 403, 'detail', 'or added to');
answers(call(POST => "/api/patients/$famous->{registration_number}/emergency/", as => 'doctor', json => { reason => 'unconscious in the waiting room' }), 201, 'an emergency');
answers(image_of($secret), 200, 'opens it');
is(db("SELECT string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FROM clinicq_audit.event WHERE entity = 'prescription' AND action = 'READ' AND entity_id = '$secret->{id}'"), 'done emergency', 'who saw it, and how, is in the audit log');

done_testing;
