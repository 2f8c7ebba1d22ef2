#include "check.h"
#include "config.h"
#include "deliver.h"
#include "log.h"
#include "serve.h"
#include "tls.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LARGE (256 * 1024)

/* What has to be checked before anything begins; false to go no further. */
static bool checked(const struct config *c) {
    if (c->command == COMMAND_CHECK)
        return check_table(c);
    return c->command == COMMAND_DELIVER || c->production == 0 || check_start(c);
}

int main(int argc, char **argv) {
    struct config config;
    int status = 0;

    config_load(&config, argc, argv);
    if (!checked(&config)) {
        status = 1;
    } else if (config.command == COMMAND_CHECK) {
        status = 0;
    } else if (!log_open((enum log_level) config.log_level, config.log_file)) {
        fprintf(stderr, "clinicq-shim: CLINICQ_LOG_FILE: \"%s\" cannot be written: %s\n",
                config.log_file, strerror(errno));
        status = 2;
    } else {
        /* large replies go back to the system, instead of leaving holes among what stays */
        mallopt(M_MMAP_THRESHOLD, LARGE);
        srandom((unsigned) (getpid() ^ time(NULL)));
        if (config.command == COMMAND_DELIVER)
            deliver(&config);
        else
            serve(&config);
        log_event(LOG_INFO, "stopped");
        log_close();
    }
    tls_close();
    config_free(&config);
    return status;
}
