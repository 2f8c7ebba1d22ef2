/* What every fuzzer uses: input in pieces, properties, and judges that share no code with what they
 * judge. */
#ifndef FUZZ_COMMON_H
#define FUZZ_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* Ends the process, which libFuzzer reports with the input. */
#define PROPERTY(condition) \
    ((condition) ? (void) 0 : property_broken(#condition, __FILE__, __LINE__))
_Noreturn void property_broken(const char *condition, const char *file, int line);

struct input {
    const char *at;
    size_t left;
};

/* The next line without its LF, or what is left. A copy of just its size and a NUL, to be freed. */
char *take_line(struct input *in, size_t *len);
/* What is left, in the same way. */
char *take_rest(struct input *in, size_t *len);

/* Bytes of the character at the start of text as RFC 3629 has it, by way of its code point; 0 if
 * there is none. */
size_t judge_character(const char *text, size_t len, uint32_t *code_point);
/* UTF-8 without NUL. */
bool judge_text(const char *text, size_t len);
/* All of text is one JSON value other than null, which the caller puts back; NULL if not. */
struct json_object *judge_json(const char *text, size_t len);
/* An object whose names and values are texts. */
bool judge_object_of_texts(struct json_object *object);
/* Whether there are faults of fields; they must be a JSON object of arrays of one text each. */
bool judge_faults(const char *text, size_t len);
/* Printable ASCII without blanks. */
bool judge_visible(const char *text);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
