/* Texts of fields: what is stored has no white space at its ends, no control character and a length
 * within the limits, and what is refused breaks one of these. */
#include "harness.h"

#define MIN 1
#define MAX 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *value = take_text(data, size);
    Faults *faults;
    const char *begin, *end;
    char *stored;
    bool control = false;
    int length = 0;

    if (value == NULL)
        return 0;
    begin = value;
    for (size_t blank; (blank = judge_blank(begin)) > 0;)
        begin += blank;
    end = begin;
    for (const char *at = begin; *at;) {
        size_t blank = judge_blank(at);
        uint32_t code_point;

        at += blank > 0 ? blank : judge_character(at, strlen(at), &code_point);
        if (blank == 0)
            end = at;
    }
    for (const char *at = begin; at < end; length++) {
        uint32_t code_point;

        control = control || judge_control(at) > 0;
        at += judge_character(at, strlen(at), &code_point);
    }
    stored = trim_blanks(value);
    PROPERTY(strlen(stored) == end - begin && memcmp(stored, begin, end - begin) == 0);
    PROPERTY(strcmp(trim_blanks(stored), stored) == 0);

    faults = faults_new();
    PROPERTY(strcmp(faults_check_text(faults, "na\"me", value, MIN, MAX), stored) == 0);
    PROPERTY(has_faults(faults) == (length < MIN || length > MAX || control));
    faults_add(faults, value, "%s", stored);
    free_all();
    return 0;
}
