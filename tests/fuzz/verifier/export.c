/* Exports for clinicq-audit: whatever two files hold, it comes to a verdict; what it says of a line
 * is so. */
#include "../../../extension/clinicq-audit/check.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void) argc;
    (void) argv;
    PROPERTY(sodium_init() >= 0);
    PROPERTY(freopen("/dev/null", "w", stdout) != NULL);
    return 0;
}

static void check_lines(const char *text, size_t length) {
    struct event event;
    struct seal seal;
    MerkleTree tree;

    if (length > 0 && event_parse(&event, text, length))
        PROPERTY(event.text == NULL ||
                 (event.text > text && event.text + event.text_length == text + length - 1));
    if (seal_parse(&seal, text, length))
        PROPERTY(seal.text[0] == '{' && seal.text[seal.text_length - 1] == '}' &&
                 seal.text + seal.text_length < text + length);
    if (peaks_parse(&tree, text))
        PROPERTY(tree.size <= INT64_MAX);
}

static FILE *open_memory(const char *text, size_t length) {
    FILE *file =
        length > 0 ? fmemopen((void *) (uintptr_t) text, length, "r") : fopen("/dev/null", "r");

    PROPERTY(file != NULL);
    return file;
}

/* Up to a NUL the events, then the seals; the first byte says whether it is a part. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    size_t length, events;
    char *text = take_rest(&in, &length);
    size_t seals;
    FILE *event_file, *seal_file;
    int status;

    check_lines(text, strlen(text));
    events = strlen(text);
    seals = events < length ? events + 1 : length;
    event_file = open_memory(text, events);
    seal_file = open_memory(text + seals, length - seals);
    status = check_export(event_file, seal_file, NULL, size % 2 == 0);
    PROPERTY(status == 0 || status == 1);
    fclose(event_file);
    fclose(seal_file);
    free(text);
    return 0;
}
