/* Session tokens: only 64 digits of lower-case hexadecimal are looked up. */
#include "harness.h"

#include "session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = take_text(data, size);
    size_t digits = 0;

    if (text == NULL)
        return 0;
    while ((text[digits] >= '0' && text[digits] <= '9') ||
           (text[digits] >= 'a' && text[digits] <= 'f'))
        digits++;
    PROPERTY(session_token_is_well_formed(text) == (digits == 64 && text[64] == '\0'));
    free_all();
    return 0;
}
