package Screen;

# A reader of Server-Sent Events as browsers are one: it goes on behind the last event that it has seen.

use v5.36;
use ClinicQ ();
use IO::Select;
use JSON::PP ();

# new(PATH, as => role or token => text; url => a shim, last => id, headers => lines)
sub new ($class, $path, %how) {
    my $self = bless { path => $path, %how, seen => [], beats => 0, retries => 0, begun => 0 }, $class;
    $self->{token} //= ClinicQ::token($how{as});
    $self->open;
    return $self;
}

sub open ($self, $url = $self->{url} // $ENV{CLINICQ_URL}) {
    @$self{qw(url raw text head closed begun)} = ($url, '', '', undef, 0, 0);
    my $last = defined $self->{last} ? "Last-Event-ID: $self->{last}\r\n" : '';
    my $by = $self->{headers} // "Authorization: Token $self->{token}\r\n";
    $self->{socket} = eval { ClinicQ::connect_to(ClinicQ::url_port($url)) } or return 0;
    syswrite $self->{socket}, "GET $self->{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n$by$last\r\n";
    return 1;
}

# Takes what has come within some seconds at the most; false once the server has closed.
sub take ($self, $seconds = 0) {
    return 0 if $self->{closed} || !$self->{socket};
    return 1 unless IO::Select->new($self->{socket})->can_read($seconds);
    my $got = sysread $self->{socket}, $self->{raw}, 65536, length $self->{raw};
    $self->{closed} = 1 unless $got;
    $self->digest;
    return !$self->{closed};
}

sub digest ($self) {
    if (!defined $self->{head}) {
        return unless $self->{raw} =~ s/^(.*?)\r\n\r\n//s;
        $self->{head} = $1;
        ($self->{status}) = $self->{head} =~ m{^HTTP/1.1 (\d+)};
    }
    if ($self->{head} =~ /^Transfer-Encoding: chunked/mi) {
        while ($self->{raw} =~ /^([0-9a-fA-F]+)\r\n/ && length $self->{raw} >= length($1) + 4 + hex $1) {
            my ($size, $line) = (hex $1, length($1) + 2);
            $self->{end} = 1 if $size == 0;
            $self->{text} .= substr $self->{raw}, $line, $size;
            substr $self->{raw}, 0, $line + $size + 2, '';
        }
    } else {
        $self->{text} .= $self->{raw};
        $self->{raw} = '';
        return;
    }
    while ($self->{text} =~ s/^(.*?)\n\n//s) {
        my %event = map { /^(\w+): (.*)$/ ? ($1 => $2) : () } split /\n/, my $block = $1;
        $self->{beats}++ if $block =~ /^:/;
        $self->{retries}++, $self->{retry} = $event{retry} if defined $event{retry};
        next unless defined $event{data};
        $event{data} = JSON::PP->new->utf8->decode($event{data});
        $event{at} = Time::HiRes::time();
        $self->{last} = $event{id};
        push @{ $self->{seen} }, \%event;
    }
}

# Until a condition holds, or the seconds have passed, or the server has closed.
sub until ($self, $condition, $seconds = 5) {
    my $end = Time::HiRes::time() + $seconds;
    until ($condition->($self)) {
        my $left = $end - Time::HiRes::time();
        return 0 if $left <= 0 || ($self->{closed});
        $self->take($left);
    }
    return 1;
}

sub events ($self, $count, $seconds = 5) {
    $self->until(sub { @{ $self->{seen} } >= $count }, $seconds);
    return @{ $self->{seen} };
}

sub close ($self) { close $self->{socket} if $self->{socket}; $self->{socket} = undef; return }

1;
