/*
 * Runs a program under the system call filter of a systemd unit, and without new executable memory:
 *     confine PROGRAM [ARGUMENT...]
 * The calls that are allowed come on standard input, one a line; those that this machine's
 * libseccomp does not know are passed over, as systemd does. Any other call ends the program.
 * Sockets are of AF_UNIX, AF_INET and AF_INET6 only; another gets what systemd's
 * RestrictAddressFamilies says.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static int allow(scmp_filter_ctx filter, int call) {
    int failed = 0;

    if (call != SCMP_SYS(socket))
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    for (unsigned family = 0; family < AF_MAX && failed == 0; family++)
        failed = seccomp_rule_add(filter,
                                  family == AF_UNIX || family == AF_INET || family == AF_INET6
                                      ? SCMP_ACT_ALLOW
                                      : SCMP_ACT_ERRNO(EAFNOSUPPORT),
                                  call, 1, SCMP_A0(SCMP_CMP_EQ, family));
    return failed;
}

int main(int argc, char **argv) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    unsigned allowed = 0;
    char line[128];

    if (argc < 2 || filter == NULL)
        return 2;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        int call;

        line[strcspn(line, "\n")] = '\0';
        call = seccomp_syscall_resolve_name(line);
        if (call != __NR_SCMP_ERROR && allow(filter, call) == 0)
            allowed++;
    }
    if (allowed < 50) {
        fprintf(stderr, "confine: only %u system calls are allowed\n", allowed);
        return 2;
    }
    /* kernels before 6.3 do not have it */
    if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0)
        perror("confine: PR_SET_MDWE");
    if (seccomp_load(filter) != 0) {
        perror("confine: seccomp_load");
        return 2;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 2;
}
