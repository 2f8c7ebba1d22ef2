# Proves what a screen in the waiting room may see: visits with the permitted form of the name, and of
# patients only those with an open visit today, by number and that name, every other key there and empty.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use ClinicQ;
use Test::More;

my $name = "Ärzte Müller  O'Neil " . (my $last = 'X' . lc new_name('q') =~ tr/ //dr);
my $full = $name =~ s/  / /r;
my $patient = new_patient(name => $full, phone => '0700', gender => 'MALE', category => '04');
my $number = $patient->{registration_number};
my $path = "/api/patients/$number/";
my $queue = new_queue();
sub board () { return call(GET => $path, as => 'display') }
sub on_visits ($role) { return (grep { $_->{patient} eq $number } @{ call(GET => "/api/visits/?queue=$queue", as => $role)->{json}{results} })[0]{patient_full_name} }

refused(board(), 404, 'detail', 'a patient without a visit');
my $visit = new_visit($queue, $number);
my %form = (full => $full, initials => 'Ä. M. O. X.', none => '');
for my $setting (qw(full none initials)) {
    set_setting('display_names', $setting);
    is_deeply(board()->{json}, {
        registration_number => $number, name => $form{$setting}, phone => undef, gender => '', category => '', created_at => '', updated_at => '', last_5_visit_dates => [],
    }, "display_names = $setting: number and name, all other keys empty");
    is(on_visits('display'), $form{$setting}, '... the same name in the list of visits');
    is(call(GET => "/api/visits/$visit->{id}/", as => 'display')->{json}{patient_full_name}, $form{$setting}, '... and in a visit');
    is(on_visits($_), $full, "... $_ sees the name in full") for qw(doctor assistant admin);
    is(call(GET => $path, as => 'doctor')->{json}{phone}, '0700', '... and the whole record');
}

# While the visit is open, and no longer.
for my $step (qw(start in_room)) {
    move($visit, $step);
    answers(board(), 200, "after $step it may be read");
}
move($visit, 'done');
refused(board(), 404, 'detail', 'when it is done it may not');
my $another = new_visit($queue, $number);
answers(board(), 200, 'a new visit opens it again');
move($another, 'cancel');
refused(board(), 404, 'detail', '... until it is cancelled');
$another = new_visit($queue, $number);
db("UPDATE clinicq.visit SET service_day = service_day - 1 WHERE id = $another->{id}");
refused(board(), 404, 'detail', 'an open visit of yesterday does not count');
db("UPDATE clinicq.visit SET service_day = service_day + 1 WHERE id = $another->{id}");
answers(board(), 200, 'one of today does');

# The rest is closed to it.
refused(call(GET => '/api/patients/', as => 'display'), 403, 'detail', 'no list of patients');
refused(call(GET => "/api/patients/?registration_numbers=$number", as => 'display'), 403, 'detail', '... not by number');
refused(call(POST => '/api/patients/', as => 'display', json => { name => 'x' }), 403, 'detail', 'no new patient');
refused(call($_ => $path, as => 'display', json => { name => 'x' }), 403, 'detail', "no $_ of one") for qw(PUT PATCH);
refused(call(DELETE => $path, as => 'display'), 403, 'detail', 'no DELETE');
refused(call(POST => '/api/visits/', as => 'display', json => { patient => $number, queue => $queue }), 403, 'detail', 'no new visit');
refused(call(PATCH => "/api/visits/$another->{id}/", as => 'display', json => { queue => $queue }), 403, 'detail', 'no transfer');
refused(move($another, $_, as => 'display'), 403, 'detail', "no $_") for qw(start in_room send_back_to_waiting done cancel no_show recall);
is(call(GET => "/api/visits/$another->{id}/", as => 'doctor')->{json}{status}, 'WAITING', 'the visit is where it was');

# A display that is an assistant too is an assistant.
my $both = new_user('display', 'assistant');
is(call(GET => $path, token => $both->{token})->{json}{name}, $full, 'with the role of an assistant besides, all is seen');

done_testing;
