# Proves that only what Twilio has signed becomes the status of a text message: the address it called, each
# field, and the key have to fit, and nothing else reaches the database.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Digest::SHA qw(hmac_sha1_base64);
use Test::More;

my $key = 'a4f1c07be5d94d2e8b6f3a2c1d0e9f87';
my $file = "$ENV{CLINICQ_CLUSTER}/twilio";
sub write_key ($text) { open my $out, '>', $file or die; print {$out} $text; close $out or die; chmod 0644, $file }
write_key("$key\n");
my $shim = start_shim(CLINICQ_TWILIO_TOKEN => $key);
my $port = url_port($shim->{url});

sub encoded ($text) { return encode_utf8($text) =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger }
sub form (@pairs) { return join '&', map { encoded($_->[0]) . '=' . encoded($_->[1]) } @pairs }
sub signature ($url, $with, @pairs) {
    my %last = map { $_->[0] => $_->[1] } @pairs;
    return hmac_sha1_base64(encode_utf8(join '', $url, map { $_, $last{$_} } sort keys %last), $with) . '=';
}

# A delivery whose message was sent, by its token.
sub new_delivery {
    return db("INSERT INTO clinicq.outbox (channel, purpose, state, attempts, payload, result, ended_at) VALUES ('sms', 'manual', 'done', 1, '{}', '{\"sid\": \"SM" . '0' x 32 . "\", \"status\": \"queued\"}', now()) RETURNING token");
}
sub status_of ($token) { return db("SELECT result->>'status' FROM clinicq.outbox WHERE token = '$token'") }
sub fields ($status = 'sent', %more) {
    my %fields = (MessageSid => 'SM' . '0' x 32, MessageStatus => $status, To => '+15551234567', From => '+15005550006', AccountSid => 'AC' . '0' x 32, ApiVersion => '2010-04-01', %more);
    return map { [$_ => $fields{$_}] } sort { $b cmp $a } keys %fields;
}

# Sends what is signed: by which key (with) and for which address (for), unless a whole signature is given.
sub call_back ($token, %how) {
    my $path = $how{path} // "/api/deliveries/$token/sms/";
    my @pairs = $how{pairs} ? @{ $how{pairs} } : fields();
    my $host = $how{host} // "127.0.0.1:$port";
    my $body = $how{body} // form(@pairs);
    my $signed = exists $how{signature} ? $how{signature} : signature($how{for} // "http://$host$path", $how{with} // $key, @pairs);
    my @headers = ($how{method} // 'POST') . " $path HTTP/1.1";
    push @headers, "Host: $host", 'Connection: close', 'Content-Type: ' . ($how{type} // 'application/x-www-form-urlencoded'), 'Content-Length: ' . length $body;
    push @headers, ref $signed ? map({ "X-Twilio-Signature: $_" } @$signed) : defined $signed ? "X-Twilio-Signature: $signed" : (), @{ $how{headers} // [] };
    return wire(join("\r\n", @headers, '', $body), 5, $how{port} // $port);
}
sub taken ($what, %how) {
    my $token = $how{token} // new_delivery();
    answers(call_back($token, %how), 204, $what);
    return is(status_of($token), $how{becomes} // 'sent', '... and kept');
}
sub unsigned ($what, %how) {
    my $token = $how{token} // new_delivery();
    refused(call_back($token, %how), 403, 'detail', $what);
    return is(status_of($token), 'queued', '... and nothing is kept');
}

# The vector is computed here and by Twilio's rule: the address, then name and value of each field, by name.
is(signature('https://clinic.example/a?b=c', '12345', [b => 'x'], [a => 'y z'], [B => '+1']), hmac_sha1_base64('https://clinic.example/a?b=cB+1ay zbx', '12345') . '=', 'what is signed');

taken('signed rightly');
taken('with characters beyond ASCII', pairs => [fields('sent', Body => 'Grüße, 順番 € + & = %')]);
taken('with an empty field', pairs => [fields('sent', ErrorCode => '')]);
taken('with a query', path => '/api/deliveries/' . ($_ = new_delivery()) . '/sms/?x=%41&y', token => $_);
taken('without the slash at the end', path => '/api/deliveries/' . ($_ = new_delivery()) . '/sms', token => $_);
taken('a form in an encoding', type => 'application/x-www-form-urlencoded; charset=UTF-8');
taken('a host without a port', host => 'a');
taken('... whose usual port is signed', host => 'a', for => 'http://a:80/api/deliveries/' . ($_ = new_delivery()) . '/sms/', token => $_);
taken('a port that is not signed', for => 'http://127.0.0.1/api/deliveries/' . ($_ = new_delivery()) . '/sms/', token => $_);
taken('an address in absolute form', path => "http://a/api/deliveries/$_/sms/", for => "http://a/api/deliveries/$_/sms/", token => $_) for new_delivery();

# Wrong in one thing each.
unsigned('without a signature', signature => undef);
unsigned('with an empty one', signature => '');
unsigned('with one of another key', with => 'b4f1c07be5d94d2e8b6f3a2c1d0e9f87');
unsigned('of no key', with => '');
unsigned('too short', signature => 'AAAA');
unsigned('too long', signature => 'A' x 5000);
unsigned('one that is none', signature => 'x' x 28);
unsigned("for $_", for => "$_/api/deliveries/x/sms/") for 'http://a', "https://127.0.0.1:$port", "http://127.0.0.1:1$port";
unsigned('for another delivery', for => "http://127.0.0.1:$port/api/deliveries/" . new_delivery() . '/sms/');
unsigned('for another query', path => '/api/deliveries/' . ($_ = new_delivery()) . '/sms/?x=1', for => "http://127.0.0.1:$port/api/deliveries/$_/sms/", token => $_);
{
    my $token = new_delivery();
    my $good = signature("http://127.0.0.1:$port/api/deliveries/$token/sms/", $key, fields('sent'));
    my $with = sub (@pairs) { (token => $token, signature => $good, pairs => [@pairs]) };
    unsigned('with another status', $with->(fields('delivered')));
    unsigned('with one field more', $with->(fields('sent', ErrorCode => '30003')));
    unsigned('with one field less', $with->(grep { $_->[0] ne 'ApiVersion' } fields('sent')));
    unsigned('with another name', $with->(map { $_->[0] eq 'To' ? [to => $_->[1]] : $_ } fields('sent')));
    unsigned('with nothing', $with->());
    unsigned('with a name twice, of which the last is another', $with->(fields('sent'), [MessageStatus => 'delivered']));
    unsigned('as JSON', $with->(), body => json({ map { @$_ } fields('sent') }), type => 'application/json');
    unsigned('as multipart', $with->(), type => 'multipart/form-data; boundary=x', body => join('', map { "--x\r\nContent-Disposition: form-data; name=$_->[0]\r\n\r\n$_->[1]\r\n" } fields('sent')) . "--x--\r\n");
    unsigned('without a type', $with->(fields('sent')), type => 'text/plain');
    unsigned('with bytes that are no text', $with->(), body => form(fields('sent')) . '&x=%FF');
    unsigned('with a NUL', $with->(), body => form(fields('sent')) . '&x=%00');
    unsigned('with a thousand fields', $with->(map { ["f$_" => 'x'] } 1 .. 1001));
    refused(call_back($token, $with->(fields('sent')), signature => [$good, $good]), 400, 'detail', 'with two signatures');
    refused(call_back($token, $with->(), body => 'x' x 70_000), 413, 'detail', 'with a body that is too large');
    refused(call_back($token, $with->(fields('sent')), host => 'elsewhere.example'), 400, 'detail', 'to a host that is not ours');
    refused(call_back($token, $with->(), method => 'PUT'), 405, 'detail', 'with another method');
    refused(call_back($token, $with->(fields('sent')), path => "/api/deliveries/$token/sms/x"), 404, 'detail', 'to another address');
    is(status_of($token), 'queued', 'all that left it as it was');

    # What is given to the database of a name that comes twice is what was signed.
    taken('a name twice', $with->([MessageStatus => 'delivered'], fields('sent')));
    taken('the same again', $with->(fields('sent')));
    taken('the next', token => $token, pairs => [fields('delivered')], becomes => 'delivered');
    taken('the first once more, late', $with->(fields('sent')), becomes => 'delivered');
}
my $problem = call(POST => '/api/deliveries/x/sms/', url => $shim->{url}, body => 'a=b', type => 'application/x-www-form-urlencoded', accept => 'application/problem+json');
is("$problem->{status} $problem->{json}{type}", '403 /problems/bad-signature', 'the problem has a name');
my $before = db('SELECT count(*) FROM clinicq.audit_event');
refused(call_back('00000000-0000-4000-8000-000000000000'), 404, 'detail', 'signed, but of no delivery');
for my $odd ('', qw(%00 %2F a%2Fb .. %2e%2e %C0%AF %FF '%20OR%20'1'='1 1%3BDROP%20TABLE%20x %24%7Bx%7D %0D%0AX:%20y 1 null {token} %F0%9F%98%80), 'a' x 3000, '%41' x 900) {
    refused(call_back('x', path => "/api/deliveries/$odd/sms/"), 404, 'detail', "signed, but for the token " . substr $odd, 0, 30);
}
my $odd = new_delivery();
for my $text ("'; DROP TABLE clinicq.outbox; --", '\\', '\\"}', '${x}', '1e400', 'x' x 20_000, "a\r\nb", "\x{2028}\x{202e}") {
    refused(call_back($odd, pairs => [fields('sent', $_ => $text)]), 400, [$_], "signed, but with $_ = " . substr json($text), 0, 30) for qw(MessageSid MessageStatus ErrorCode NumSegments Price PriceUnit);
    answers(call_back($odd, pairs => [fields('sent'), [$text, $text]]), 204, '... others are passed over');
}
refused(call_back(new_delivery(), pairs => [[MessageStatus => 'sent']]), 400, ['MessageSid'], 'signed, but without a message');
is(db('SELECT count(*) FROM clinicq.audit_event'), $before, 'none of it is in the audit log');
ok(!grep({ /5551234567|SM0000|$key/ } log_lines($shim->{log})), 'the log has neither number nor key');
is($shim->stop, 0, 'it ends');

# Without a key nothing is taken, whatever it is signed with.
$shim = start_shim();
unsigned('without a key', port => url_port($shim->{url}), host => 'a', with => $_) for $key, '';
is(scalar(grep { /CLINICQ_TWILIO_TOKEN is not set/ } log_lines($shim->{log})), 1, 'the log says so, once');
is($shim->stop, 0, 'it ends');

# Behind a proxy that terminates TLS, with the key in a file, which is read again.
$shim = start_shim(CLINICQ_TWILIO_TOKEN_FILE => $file, CLINICQ_TLS_PROXY => 'on', CLINICQ_TRUSTED_PROXIES => '127.0.0.1');
my %behind = (port => url_port($shim->{url}), host => 'a', headers => ['X-Forwarded-For: 203.0.113.9', 'X-Forwarded-Proto: https']);
taken('behind a proxy', %behind, for => "https://a/api/deliveries/$_/sms/", token => $_) for new_delivery();
taken('... with the usual port', %behind, for => "https://a:443/api/deliveries/$_/sms/", token => $_) for new_delivery();
unsigned('... for http', %behind);
write_key('another');
$shim->signal('HUP');
ok(wait_for(10, sub { grep { /SIGHUP/ } log_lines($shim->{log}) }), 'SIGHUP');
taken('a new key', %behind, with => 'another', for => "https://a/api/deliveries/$_/sms/", token => $_) for new_delivery();
unsigned('not the old one', %behind, for => "https://a/api/deliveries/$_/sms/", token => $_) for new_delivery();
unlink $file;
$shim->signal('HUP');
ok(wait_for(10, sub { grep { /CLINICQ_TWILIO_TOKEN.*of before/ } log_lines($shim->{log}) }), 'a file that is gone is told');
taken('... and the key stays', %behind, with => 'another', for => "https://a/api/deliveries/$_/sms/", token => $_) for new_delivery();
is($shim->stop, 0, 'it ends');

done_testing;
