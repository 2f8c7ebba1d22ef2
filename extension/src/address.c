#include "address.h"

#define LETTERS     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS      "0123456789"
#define ADDRESS_MAX 500
#define EMAIL_MAX   254
#define LOCAL_MAX   64

static bool is_made_of(const char *value, size_t length, const char *characters) {
    for (size_t i = 0; i < length; i++)
        if (value[i] == '\0' || strchr(characters, value[i]) == NULL)
            return false;
    return true;
}

static bool is_visible(const char *value) {
    for (const char *c = value; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return strlen(value) <= ADDRESS_MAX;
}

static const char *skip(const char *value, const char *prefix) {
    size_t length = strlen(prefix);

    return strncmp(value, prefix, length) == 0 ? value + length : NULL;
}

/* Length of a host, which may be an address in brackets, and of a port behind it; 0: neither. */
static size_t authority_length(const char *value) {
    size_t host = *value == '[' ? strcspn(value, "]") + 1 : strspn(value, LETTERS DIGITS ".-");
    size_t port;

    if (*value == '[' &&
        (value[host - 1] != ']' || !is_made_of(value + 1, host - 2, DIGITS "abcdefABCDEF:.")))
        return 0;
    if (host == 0 || value[host] != ':')
        return host;
    port = strspn(value + host + 1, DIGITS);
    return port >= 1 && port <= 5 ? host + 1 + port : 0;
}

static bool is_this_machine(const char *authority, size_t length) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

    for (int i = 0; i < lengthof(names); i++) {
        size_t own = strlen(names[i]);

        if (length >= own && strncmp(authority, names[i], own) == 0 &&
            (length == own || authority[own] == ':'))
            return true;
    }
    return false;
}

/* What stands behind scheme and authority, NULL where they are not right. */
static const char *behind_authority(const char *value) {
    const char *secure = skip(value, "https://");
    const char *plain = skip(value, "http://");
    const char *authority = secure ? secure : plain;
    size_t length = authority ? authority_length(authority) : 0;

    if (length == 0 || !is_visible(value) || (plain && !is_this_machine(plain, length)))
        return NULL;
    return authority + length;
}

const char *address_base_fault(const char *value) {
    const char *rest = behind_authority(value);

    if (*value == '\0' || (rest != NULL && strpbrk(rest, "?#") == NULL &&
                           (*rest == '\0' || (*rest == '/' && rest[strlen(rest) - 1] != '/'))))
        return NULL;
    return "must be an address such as https://clinic.example, without a slash at its end; http is for this machine only";
}

const char *address_url_fault(const char *value) {
    const char *rest = behind_authority(value);

    if (*value == '\0' ||
        (rest != NULL && strchr(rest, '#') == NULL && (*rest == '\0' || strchr("/?", *rest))))
        return NULL;
    return "must be an address such as https://clinic.example/path; http is for this machine only";
}

const char *address_mail_server_fault(const char *value) {
    const char *plain = skip(value, "smtp://");
    const char *secure = skip(value, "smtps://");
    const char *authority = plain ? plain : secure;
    size_t length = authority ? authority_length(authority) : 0;

    if (*value == '\0' || (length > 0 && authority[length] == '\0'))
        return NULL;
    return "must be a mail server such as smtp://mail.example:587 or smtps://mail.example";
}

/* Words with single dots between them. */
static bool is_dotted(const char *value, size_t length, const char *characters) {
    for (size_t i = 0; i < length; i++)
        if (value[i] == '.' && (i == 0 || i + 1 == length || value[i + 1] == '.'))
            return false;
    return length > 0 && is_made_of(value, length, characters);
}

const char *address_email_fault(const char *value) {
    const char *at = strrchr(value, '@');

    if (*value == '\0' || (at != NULL && strlen(value) <= EMAIL_MAX && at - value <= LOCAL_MAX &&
                           is_dotted(value, at - value, LETTERS DIGITS ".!#$%&'*+-/=?^_`{|}~") &&
                           is_dotted(at + 1, strlen(at + 1), LETTERS DIGITS ".-")))
        return NULL;
    return "must be an address of e-mail such as name@clinic.example";
}

const char *address_number_fault(const char *value) {
    size_t digits = *value == '+' ? strspn(value + 1, DIGITS) : 0;

    if (*value == '\0' ||
        (value[1] != '0' && digits >= 8 && digits <= 15 && value[1 + digits] == '\0'))
        return NULL;
    return "must be a number with its country in front, such as +923001234567";
}

const char *address_sender_fault(const char *value) {
    if (strlen(value) == 34 && skip(value, "MG") != NULL &&
        is_made_of(value + 2, 32, DIGITS "abcdef"))
        return NULL;
    return address_number_fault(value) == NULL
               ? NULL
               : "must be a number such as +14155550100, or a messaging service, MG and 32 digits";
}

const char *address_word_fault(const char *value) {
    return is_visible(value) ? NULL : "must be of visible ASCII characters without blanks";
}

const char *address_path_fault(const char *value) {
    return *value != '/' && strlen(value) <= ADDRESS_MAX &&
                   is_made_of(value, strlen(value), LETTERS DIGITS "-._/")
               ? NULL
               : "must be of letters, digits and - . _ /, without a slash in front";
}
