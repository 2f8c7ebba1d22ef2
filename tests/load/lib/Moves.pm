package Moves;

# What the model knows of visits, written from the description and not from the extension: states, moves
# and who may make them; and the journal, which model-clients writes and model-check reads.

use v5.36;
use Exporter 'import';

our @EXPORT = qw(%MOVES %IS_OPEN %RANK %ROLE_OF @COLUMNS UNDO_SECONDS NO_SHOW_CALLS may journal_line);

use constant { UNDO_SECONDS => 60, NO_SHOW_CALLS => 2 };

my @doctors = qw(doctor admin);
my @all = qw(doctor assistant admin);
our %MOVES = (
    start => { from => ['WAITING'], to => 'START', who => \@doctors },
    in_room => { from => ['START'], to => 'IN_ROOM', who => \@doctors },
    send_back => { from => [qw(START IN_ROOM)], to => 'WAITING', who => \@doctors },
    done => { from => ['IN_ROOM'], to => 'DONE', who => \@doctors },
    hold => { from => [qw(WAITING START)], to => 'HELD', who => \@all },
    resume => { from => ['HELD'], to => 'WAITING', who => \@all },
    announce => { from => ['START'], to => 'START', who => \@all },
    no_show => { from => ['START'], to => 'NO_SHOW', who => \@all },
    recall => { from => ['NO_SHOW'], to => 'WAITING', who => \@all },
    cancel => { from => [qw(WAITING HELD)], to => 'CANCELLED', who => \@all },
    transfer => { from => [qw(WAITING START HELD)], to => 'TRANSFERRED', who => \@all },
);
our %IS_OPEN = map { $_ => 1 } qw(WAITING START IN_ROOM HELD);
our %RANK = (emergency => 30, elderly => 20, pregnant => 10, normal => 0);

# The users of the run by name.
our %ROLE_OF = ((map { ("m.doctor$_" => 'doctor', "m.assistant$_" => 'assistant') } 1 .. 5), 'm.admin' => 'admin', 'm.display' => 'display');

# Whether a user may do what the client asked for.
sub may ($user, $action) {
    my $who = $action =~ /^(?:open|priority)$/ ? [qw(assistant admin)]
        : $action =~ /^(?:call_next|drain)/ ? \@doctors
        : $action eq 'undo' ? \@all
        : $MOVES{$action}{who};
    return scalar grep { $_ eq $ROLE_OF{$user} } @$who;
}

# t0 and t1: sent and answered, by one clock. asked_*: what was asked for. kind: of a key, first or
# repeat, or reused for another request. match: If-Match, right, stale or nonsense, and the version that
# its tag is of. The rest is the answer, status 0 where none was waited for.
our @COLUMNS = qw(request t0 t1 user action asked_visit asked_queues asked_patient asked_priority asked_room bad key kind
    match match_version status replayed type detail digest visit state token queue patient room priority updated_at);

sub journal_line ($entry) { return join("\t", map { ($entry->{$_} // '') =~ tr/\t\n/  /r } @COLUMNS) . "\n" }

1;
