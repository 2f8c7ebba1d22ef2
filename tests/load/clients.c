/*
 * Many HTTP clients that write down what was acknowledged. Each is a process with one keep-alive
 * connection; its journal is written before it goes on, so that what it was told survives its kill.
 * Prints counts and latencies as KEY=VALUE lines. Usage: see usage().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 1024
#define QUEUES_MAX  256
#define REPLY_MAX   65536
#define PAUSE_MS    20 /* after a failure */

enum kind { PATIENT, VISIT, READ, KINDS };
static const char *const kind_names[KINDS] = {"patients", "visits", "reads"};

/* Problem types that are counted by name. */
static const char *const types[] = {
    "outcome-unknown", "database-away", "not-ready", "overloaded", "busy", "restarting",
    "timeout",         "disk-full",     "internal",  "conflict",   "other"};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* 32 steps for each power of two microseconds. */
#define STEPS   32
#define BUCKETS (STEPS * 40)

static struct shared {
    atomic_ullong next; /* piece of work */
    atomic_ullong done[KINDS];
    atomic_ullong repeated; /* a visit that was open already */
    atomic_ullong status[600];
    atomic_ullong type[TYPES];
    atomic_ullong lost; /* no answer came: connection ended, or patience did */
    atomic_ullong refused_connections;
    atomic_ullong hung_up;
    atomic_ullong wrong; /* an answer that contradicts the request */
    atomic_ullong latency[KINDS][BUCKETS];
    atomic_ullong slowest[KINDS];
    atomic_bool stop;
} * shared;

static struct {
    struct sockaddr_in address;
    const char *token;
    const char *work;
    const char *label;
    const char *journal;
    long queues[QUEUES_MAX];
    unsigned queue_count;
    char **numbers;
    unsigned long number_count;
    unsigned clients;
    unsigned long count;
    double seconds;
    unsigned kill_ms;
    unsigned hang_up;
    unsigned patience_ms;
    bool once; /* each number of the list is used once */
} set = {.work = "both", .label = "Load", .clients = 1, .patience_ms = 20000};

static int sock = -1;
static int journal = -1;
static unsigned long requests;
static char reply[REPLY_MAX + 1];
static const char *reply_body;

static void usage(void) {
    fputs("usage: CLINICQ_TOKEN=... clients [options] http://127.0.0.1:PORT\n"
          "  --work both|register|visit|read   both: register a patient, then open a visit\n"
          "  --clients N     processes, each with one connection\n"
          "  --queues 1,2    queues of the visits, in turn\n"
          "  --numbers FILE  registration numbers for visit (each once) and read (over and over)\n"
          "  --count N       stop when so many of each kind of work were acknowledged\n"
          "  --seconds S     stop after so long\n"
          "  --label TEXT    beginning of the names that are registered\n"
          "  --journal PATH  PATH.N gets client N's acknowledged writes\n"
          "  --kill MS       kill -9 a client each MS milliseconds, a new one takes its place\n"
          "  --hang-up N     each client closes its connection in the middle of every Nth request\n"
          "  --patience MS   longest wait for an answer\n",
          stderr);
    exit(2);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

static void pause_ms(unsigned ms) {
    struct timespec ts = {ms / 1000, (long) (ms % 1000) * 1000000};

    nanosleep(&ts, NULL);
}

static unsigned bucket_of(uint64_t us) {
    unsigned power;

    if (us < STEPS)
        return (unsigned) us;
    power = 63 - (unsigned) __builtin_clzll(us);
    power = (power - 4) * STEPS + (unsigned) ((us >> (power - 5)) & (STEPS - 1));
    return power < BUCKETS ? power : BUCKETS - 1;
}

static double bucket_ms(unsigned bucket) {
    unsigned power = bucket / STEPS;
    double us = power == 0 ? bucket : (double) (STEPS + bucket % STEPS) * (1ULL << (power - 1));

    return us / 1000;
}

static void hang_up(void) {
    if (sock >= 0)
        close(sock);
    sock = -1;
}

static bool connect_again(void) {
    int one = 1;
    struct timeval patience = {set.patience_ms / 1000, (long) (set.patience_ms % 1000) * 1000};

    sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        fail("socket");
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(sock, (const struct sockaddr *) &set.address, sizeof(set.address)) == 0)
        return true;
    hang_up();
    return false;
}

static bool send_all(const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = send(sock, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t) n;
    }
    return true;
}

/* Reads one reply with Content-Length into reply; its status, 0 when it did not come. */
static int receive(void) {
    size_t len = 0;
    size_t wanted = 0;
    const char *header;
    int status;

    while (wanted == 0 || len < wanted) {
        ssize_t n = recv(sock, reply + len, REPLY_MAX - len, 0);

        if (n <= 0)
            return 0;
        len += (size_t) n;
        reply[len] = '\0';
        if (wanted == 0 && (reply_body = strstr(reply, "\r\n\r\n")) != NULL) {
            reply_body += 4;
            header = strcasestr(reply, "\r\nContent-Length:");
            wanted = (size_t) (reply_body - reply);
            if (header != NULL && header < reply_body)
                wanted += strtoul(header + 17, NULL, 10);
            if (wanted > REPLY_MAX)
                return 0;
        }
    }
    if (sscanf(reply, "HTTP/1.1 %d", &status) != 1 || status < 100 || status > 599)
        return 0;
    header = strcasestr(reply, "\r\nConnection: close");
    if (header != NULL && header < reply_body)
        hang_up();
    return status;
}

static void count_refusal(int status) {
    const char *type = strstr(reply_body, "/problems/");
    size_t len = type != NULL ? strcspn(type += 10, "\"") : 0;
    size_t found = TYPES - 1;

    for (size_t i = 0; i < TYPES - 1 && len > 0; i++)
        if (strlen(types[i]) == len && strncmp(types[i], type, len) == 0)
            found = i;
    if (status >= 400)
        shared->type[found]++;
}

/* One request and its answer; 0 when there was none. */
__attribute__((format(printf, 4, 5))) static int ask(enum kind kind, const char *method,
                                                     const char *path, const char *format, ...) {
    char request[2048], body[1024];
    va_list args;
    int len, status = 0;
    uint64_t begun, took, slowest;

    va_start(args, format);
    vsnprintf(body, sizeof(body), format, args);
    va_end(args);
    len = snprintf(request, sizeof(request),
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token %s\r\n"
                   "Accept: application/json, application/problem+json\r\n%s"
                   "Content-Length: %zu\r\n\r\n%s",
                   method, path, set.token, *body ? "Content-Type: application/json\r\n" : "",
                   strlen(body), body);
    if (sock < 0 && !connect_again()) {
        shared->refused_connections++;
        pause_ms(PAUSE_MS);
        return 0;
    }
    begun = now_us();
    if (set.hang_up > 0 && ++requests % set.hang_up == 0) {
        /* in turn: half of the request, or all of it and no time to hear the answer */
        send_all(request, (size_t) (requests / set.hang_up % 2 == 0 ? len / 2 : len));
        shared->hung_up++;
        hang_up();
        return 0;
    }
    if (send_all(request, (size_t) len))
        status = receive();
    if (status == 0) {
        shared->lost++;
        hang_up();
        pause_ms(PAUSE_MS);
        return 0;
    }
    took = now_us() - begun;
    shared->status[status]++;
    if (status >= 400) {
        count_refusal(status);
        if (status >= 500)
            pause_ms(PAUSE_MS);
        return status;
    }
    shared->latency[kind][bucket_of(took)]++;
    slowest = shared->slowest[kind];
    while (took > slowest)
        if (atomic_compare_exchange_weak(&shared->slowest[kind], &slowest, took))
            break;
    return status;
}

/* The value of a member of the reply's object, up to a comma, quote or brace. */
static bool member(const char *name, char *out, size_t size) {
    char key[64];
    const char *at;
    size_t len;

    snprintf(key, sizeof(key), "\"%s\":", name);
    at = strstr(reply_body, key);
    if (at == NULL)
        return false;
    at += strlen(key);
    at += *at == '"';
    len = strcspn(at, "\",}");
    if (len >= size)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

__attribute__((format(printf, 1, 2))) static void write_down(const char *format, ...) {
    char line[512];
    va_list args;
    int len;

    if (journal < 0)
        return;
    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (write(journal, line, (size_t) len) != len)
        fail("journal");
}

static bool do_register(unsigned long long piece, char *number, size_t size) {
    char name[64], told[64];
    int status;

    snprintf(name, sizeof(name), "%s %llu", set.label, piece);
    status = ask(PATIENT, "POST", "/api/patients/",
                 "{\"name\":\"%s\",\"phone\":\"07%08llu\",\"gender\":\"OTHER\"}", name, piece);
    if (status != 200 && status != 201)
        return false;
    if (!member("registration_number", number, size) || !member("name", told, sizeof(told)) ||
        strcmp(name, told) != 0) {
        shared->wrong++;
        return false;
    }
    write_down("patient\t%s\t%s\t\t\t\n", number, name);
    shared->done[PATIENT]++;
    return true;
}

static void do_visit(unsigned long long piece, const char *number) {
    char id[32], token[32], told[32];
    long queue = set.queues[piece % set.queue_count];
    int status =
        ask(VISIT, "POST", "/api/visits/", "{\"patient\":\"%s\",\"queue\":%ld}", number, queue);

    if (status != 200 && status != 201)
        return;
    if (!member("id", id, sizeof(id)) || !member("token_number", token, sizeof(token)) ||
        !member("queue", told, sizeof(told)) || atol(told) != queue ||
        !member("patient", told, sizeof(told)) || strcmp(told, number) != 0) {
        shared->wrong++;
        return;
    }
    write_down("visit\t%s\t\t%s\t%ld\t%s\n", number, id, queue, token);
    if (status == 200)
        shared->repeated++;
    else
        shared->done[VISIT]++;
}

static void do_read(const char *number) {
    char path[64], told[32];

    snprintf(path, sizeof(path), "/api/patients/%s/", number);
    if (ask(READ, "GET", path, "%s", "") != 200)
        return;
    if (member("registration_number", told, sizeof(told)) && strcmp(told, number) == 0)
        shared->done[READ]++;
    else
        shared->wrong++;
}

static bool enough(enum kind kind) {
    return set.count > 0 && shared->done[kind] >= set.count;
}

static void work(void) {
    char number[32];

    while (!shared->stop) {
        unsigned long long piece = shared->next++;

        if (strcmp(set.work, "read") == 0) {
            if (enough(READ))
                return;
            do_read(set.numbers[piece % set.number_count]);
        } else if (strcmp(set.work, "visit") == 0) {
            if (enough(VISIT) || piece >= set.number_count)
                return;
            do_visit(piece, set.numbers[piece]);
        } else {
            bool both = strcmp(set.work, "both") == 0;

            if (enough(PATIENT) && (!both || enough(VISIT)))
                return;
            if (do_register(piece, number, sizeof(number)) && both)
                do_visit(piece, number);
        }
    }
}

static pid_t start_client(unsigned index) {
    pid_t pid = fork();
    char path[4096];

    if (pid < 0)
        fail("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    requests = index; /* not all hang up at once */
    if (set.journal != NULL) {
        snprintf(path, sizeof(path), "%s.%u", set.journal, index);
        journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (journal < 0)
            fail(path);
    }
    work();
    _exit(0);
}

static void on_signal(int number) {
    (void) number;
    shared->stop = true;
}

static double percentile(enum kind kind, double share) {
    unsigned long long all = 0, sum = 0;

    for (unsigned i = 0; i < BUCKETS; i++)
        all += shared->latency[kind][i];
    for (unsigned i = 0; i < BUCKETS; i++) {
        sum += shared->latency[kind][i];
        if (all > 0 && (double) sum >= share * (double) all)
            return bucket_ms(i);
    }
    return 0;
}

static void report(double seconds, unsigned killed) {
    unsigned long long server_errors = 0;

    printf("seconds=%.3f\n", seconds);
    for (unsigned k = 0; k < KINDS; k++) {
        if (shared->done[k] == 0 && shared->slowest[k] == 0)
            continue;
        printf("%s=%llu\n%s_rate=%.1f\n", kind_names[k], shared->done[k], kind_names[k],
               (double) shared->done[k] / seconds);
        printf("%s_p50=%.2f\n%s_p99=%.2f\n%s_max=%.2f\n", kind_names[k], percentile(k, 0.5),
               kind_names[k], percentile(k, 0.99), kind_names[k],
               (double) shared->slowest[k] / 1000);
    }
    for (unsigned i = 0; i < 600; i++)
        if (shared->status[i] > 0)
            printf("status_%u=%llu\n", i, shared->status[i]);
    for (unsigned i = 500; i < 600; i++)
        server_errors += shared->status[i];
    for (size_t i = 0; i < TYPES; i++)
        if (shared->type[i] > 0)
            printf("type_%s=%llu\n", types[i], shared->type[i]);
    printf("errors=%llu\nrepeated=%llu\nlost=%llu\nrefused_connections=%llu\nhung_up=%llu\n"
           "killed=%u\nwrong=%llu\n",
           server_errors, shared->repeated, shared->lost, shared->refused_connections,
           shared->hung_up, killed, shared->wrong);
}

static void read_numbers(const char *path) {
    FILE *f = fopen(path, "re");
    char line[64];
    size_t room = 0;

    if (f == NULL)
        fail(path);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (set.number_count == room) {
            room = room > 0 ? room * 2 : 1024;
            set.numbers = realloc(set.numbers, room * sizeof(*set.numbers));
            if (set.numbers == NULL)
                fail("realloc");
        }
        line[strcspn(line, "\n")] = '\0';
        set.numbers[set.number_count++] = strdup(line);
    }
    fclose(f);
}

static void read_options(int argc, char **argv) {
    static const struct option options[] = {
        {"work", 1, 0, 'w'},    {"clients", 1, 0, 'c'},  {"queues", 1, 0, 'q'},
        {"numbers", 1, 0, 'n'}, {"count", 1, 0, 'C'},    {"seconds", 1, 0, 's'},
        {"label", 1, 0, 'l'},   {"journal", 1, 0, 'j'},  {"kill", 1, 0, 'k'},
        {"hang-up", 1, 0, 'h'}, {"patience", 1, 0, 'p'}, {0}};
    unsigned port;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'w':
            set.work = optarg;
            break;
        case 'c':
            set.clients = (unsigned) strtoul(optarg, NULL, 10);
            break;
        case 'q':
            for (char *at = optarg; *at && set.queue_count < QUEUES_MAX; at += *at == ',')
                set.queues[set.queue_count++] = strtol(at, &at, 10);
            break;
        case 'n':
            read_numbers(optarg);
            break;
        case 'C':
            set.count = strtoul(optarg, NULL, 10);
            break;
        case 's':
            set.seconds = strtod(optarg, NULL);
            break;
        case 'l':
            set.label = optarg;
            break;
        case 'j':
            set.journal = optarg;
            break;
        case 'k':
            set.kill_ms = (unsigned) strtoul(optarg, NULL, 10);
            break;
        case 'h':
            set.hang_up = (unsigned) strtoul(optarg, NULL, 10);
            break;
        case 'p':
            set.patience_ms = (unsigned) strtoul(optarg, NULL, 10);
            break;
        default:
            usage();
        }
    }
    set.token = getenv("CLINICQ_TOKEN");
    if (optind + 1 != argc || set.token == NULL || set.clients < 1 || set.clients > CLIENTS_MAX ||
        sscanf(argv[optind], "http://127.0.0.1:%u", &port) != 1)
        usage();
    if ((strcmp(set.work, "both") == 0 || strcmp(set.work, "visit") == 0) && set.queue_count == 0)
        usage();
    if ((strcmp(set.work, "read") == 0 || strcmp(set.work, "visit") == 0) && set.number_count == 0)
        usage();
    set.address.sin_family = AF_INET;
    set.address.sin_port = htons((uint16_t) port);
    set.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

int main(int argc, char **argv) {
    pid_t pids[CLIENTS_MAX];
    unsigned running, killed = 0;
    uint64_t begun, kill_at;

    read_options(argc, argv);
    /* cppcheck-suppress invalidFunctionArg ; -1 is what MAP_ANONYMOUS asks for */
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap");
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    srandom((unsigned) getpid());
    begun = now_us();
    kill_at = begun + set.kill_ms * 1000ULL;
    for (running = 0; running < set.clients; running++)
        pids[running] = start_client(running);
    while (running > 0) {
        uint64_t now = now_us();
        pid_t pid;

        if (set.seconds > 0 && (double) (now - begun) >= set.seconds * 1e6)
            shared->stop = true;
        if (set.kill_ms > 0 && now >= kill_at && !shared->stop && running == set.clients) {
            unsigned victim = (unsigned) random() % set.clients;

            kill_at = now + set.kill_ms * 1000ULL;
            kill(pids[victim], SIGKILL);
            waitpid(pids[victim], NULL, 0);
            pids[victim] = start_client(victim);
            killed++;
        }
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            running--;
        pause_ms(5);
    }
    report((double) (now_us() - begun) / 1e6, killed);
    return 0;
}
