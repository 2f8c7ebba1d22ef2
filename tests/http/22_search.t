# Proves section 2.6 with section 0's rules: what search finds by name, phone and number, in which
# order, and that its text is never a pattern.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

sub escaped ($text) { return join '', map { /[A-Za-z0-9]/ ? $_ : sprintf '%%%02X', ord } split //, encode_utf8($text) }
sub find ($q, %how) { return call(GET => '/api/patients/search/?q=' . escaped($q) . ($how{more} // ''), as => 'assistant') }
sub names ($q) { return join '; ', map { $_->{name} } @{ find($q)->{json}{results} // [] } }
sub numbers ($q) { return map { $_->{registration_number} } @{ find($q)->{json}{results} // [] } }

my $word = join '', map { ('b' .. 'z')[rand 25] } 1 .. 8;
my $digits = 10_000 + int rand 90_000;
my $family = ucfirst $word;
my $middle = new_patient(name => "Ali $family Khan", phone => "+49 $digits 777");
my $begin = new_patient(name => "$family Zed", phone => "0$digits");
my $exact = new_patient(name => "Aaron of $word", phone => $word);
my $part = new_patient(name => "An${word}ders", phone => undef);

is(names($word), join('; ', $exact->{name}, $begin->{name}, $middle->{name}, $part->{name}), 'exact phone, then names that begin, then the rest by number');
is(names(uc $word), join('; ', $begin->{name}, $middle->{name}, $exact->{name}, $part->{name}), 'names in any case; a phone is exact as it is written')
    or diag(names(uc $word));
is(names("  $word\t"), names($word), 'blanks round it are trimmed');
is(names("$family Kh"), $middle->{name}, 'a part of a name, with a blank');
is(names("li $word k"), $middle->{name}, '... in any case');
is(names("9 $digits 7"), $middle->{name}, 'a part of a phone');
is(names("0$digits"), $begin->{name}, 'a phone in full');
is(names("nobody $word"), '', 'nobody');

# Numbers: in full, without dashes, in part; exactly this number first.
my $number = $middle->{registration_number};
is((numbers($number))[0], $number, 'a number in full');
is((numbers($number =~ tr/-//dr))[0], $number, '... without dashes');
ok(scalar(grep { $_ eq $number } numbers(substr $number =~ tr/-//dr, 1)), '... in part');
ok(scalar(grep { $_ eq $number } numbers(substr $number, 1, -1)), '... in part, with dashes');
new_patient(name => "Aaa $number");
my $phoned = new_patient(name => new_name('Aaa'), phone => $number);
is_deeply([(numbers($number))[0, 1]], [$number, $phoned->{registration_number}], 'exact number first, then exact phone, before a name that holds it');

# The web's assistant page takes the first hit: it must be the patient whose number was typed.
my @five = map { new_patient()->{registration_number} } 1 .. 5;
is((numbers($_))[0], $_, "typing $_ finds it first") for @five;

# Nothing in the text is a pattern or a statement.
my $odd = new_patient(name => "100%_$word\\n");
is(names("%_$word"), $odd->{name}, '% and _ are themselves');
is(names("_$word\\"), $odd->{name}, 'so is a backslash');
is(names("$word%"), '', '% is no wildcard');
is(names("${word}_"), '', '_ is none');
is(find($_)->{status}, 200, "q=$_ is answered")
    for "'", '"', "';DROP TABLE clinicq.patient;--", '\\', '%', '_', '\\%', '(', '[a-z]*', '$$', '$1', '--', '&|!', '😀', "e\x{301}", "\x{200B}", 'a' x 255, "\x{1}";
is(db('SELECT count(*) > 0 FROM clinicq.patient'), 't', 'the table is still there');
refused(find('x' x 1500), 400, 'error', 'a text too long');
refused(call(GET => '/api/patients/search/', as => 'assistant'), 400, 'error', 'no q');
refused(call(GET => '/api/patients/search/?q=', as => 'assistant'), 400, 'error', 'an empty q');
my $blank = find('   ');
answers($blank, 200, 'blanks alone are answered');
ok(!grep({ $_->{name} !~ / / } @{ $blank->{json}{results} }), '... by names that hold one');
is(join('', map { "$_;" } sort keys %{ $blank->{json} }) =~ /^count;(?:count_exact;)?next;previous;results;$/, 1, 'in the envelope of lists');

# Accents and other scripts are found as they are written, in either case.
my $umlaut = new_patient(name => "Zoë Ödön $word");
is(names("ödön $word"), $umlaut->{name}, 'letters beyond ASCII in any case');
my $han = new_patient(name => "李小龍 $word");
is(names("小龍 $word"), $han->{name}, 'two Han characters');

# Who may.
refused(call(GET => '/api/patients/search/?q=x', as => 'display'), 403, 'detail', 'a display does not search');
answers(call(GET => "/api/patients/search/?q=$word", as => $_), 200, "$_ does") for qw(admin doctor assistant);
is(find($word, more => '&registration_numbers=99-99-998')->{json}{count}, find($word)->{json}{count}, 'the filter of the list does not reach search');
like(call(GET => '/api/patients/search/', as => 'assistant')->{json}{error}, qr/\bq\b/, 'the refusal names q');

done_testing;
