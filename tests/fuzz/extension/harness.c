#include "harness.h"

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "query.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

/* Memory: every piece an allocation, all freed together as a memory context would. */

typedef struct Piece {
    struct Piece *next;
    struct Piece *prev;
    size_t size;
    max_align_t data[];
} Piece;

static Piece pieces = {.next = &pieces, .prev = &pieces};
MemoryContext CurrentMemoryContext;

static void link_piece(Piece *piece) {
    piece->next = pieces.next;
    piece->prev = &pieces;
    pieces.next->prev = piece;
    pieces.next = piece;
}

static Piece *unlink_piece(void *pointer) {
    Piece *piece = (Piece *) ((char *) pointer - offsetof(Piece, data));

    piece->next->prev = piece->prev;
    piece->prev->next = piece->next;
    return piece;
}

void *palloc(Size size) {
    Piece *piece = malloc(sizeof *piece + size);

    PROPERTY(piece != NULL && AllocSizeIsValid(size));
    piece->size = size;
    link_piece(piece);
    memset(piece->data, 0x7F, size);
    return piece->data;
}

void *palloc0(Size size) {
    return memset(palloc(size), 0, size);
}

void *palloc_extended(Size size, int flags) {
    return palloc(size);
}

void pfree(void *pointer) {
    free(unlink_piece(pointer));
}

void *repalloc(void *pointer, Size size) {
    Piece *piece = realloc(unlink_piece(pointer), sizeof *piece + size);

    PROPERTY(piece != NULL && AllocSizeIsValid(size));
    piece->size = size;
    link_piece(piece);
    return piece->data;
}

char *pnstrdup(const char *in, Size len) {
    char *copy;

    len = strnlen(in, len);
    copy = palloc(len + 1);
    memcpy(copy, in, len);
    copy[len] = '\0';
    return copy;
}

char *pstrdup(const char *in) {
    return pnstrdup(in, strlen(in));
}

char *MemoryContextStrdup(MemoryContext context, const char *string) {
    return pstrdup(string);
}

void free_all(void) {
    while (pieces.next != &pieces)
        pfree(pieces.next->data);
}

/* Errors. */

sigjmp_buf harness_error;
static int error_level;

bool errstart(int elevel, const char *domain) {
    error_level = elevel;
    return elevel >= ERROR;
}

bool errstart_cold(int elevel, const char *domain) {
    return errstart(elevel, domain);
}

int errcode(int sqlerrcode) {
    return 0;
}

int errmsg(const char *fmt, ...) {
    return 0;
}

int errmsg_internal(const char *fmt, ...) {
    return 0;
}

int errdetail_internal(const char *fmt, ...) {
    return 0;
}

int errhint(const char *fmt, ...) {
    return 0;
}

void errfinish(const char *filename, int lineno, const char *funcname) {
    if (error_level >= ERROR)
        siglongjmp(harness_error, 1);
}

/* As in the server's mbutils.c, datetime.c and json.c, for UTF-8. */

int pg_mblen(const char *mbstr) {
    return pg_encoding_mblen(PG_UTF8, mbstr);
}

int pg_mbstrlen(const char *mbstr) {
    int count = 0;

    for (; *mbstr; mbstr += pg_mblen(mbstr))
        count++;
    return count;
}

const int day_tab[2][13] = {{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0},
                            {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0}};

int date2j(int year, int month, int day) {
    int century;

    month += month > 2 ? 1 : 13;
    year += month > 13 ? 4799 : 4800;
    century = year / 100;
    return year * 365 - 32167 + year / 4 - century + century / 4 + 7834 * month / 256 + day;
}

void escape_json(StringInfo buf, const char *str) {
    appendStringInfoChar(buf, '"');
    for (; *str; str++)
        if (*str == '"' || *str == '\\')
            appendStringInfo(buf, "\\%c", *str);
        else if ((unsigned char) *str < ' ')
            appendStringInfo(buf, "\\u%04x", (unsigned char) *str);
        else
            appendStringInfoChar(buf, *str);
    appendStringInfoChar(buf, '"');
}

JsonbValue *getKeyJsonValueFromContainer(JsonbContainer *container, const char *key, int len,
                                         JsonbValue *res) {
    const char *value = *(const char **) (container + 1);

    res->type = jbvString;
    res->val.string.len = (int) strlen(value);
    res->val.string.val = (char *) value;
    return res;
}

/* The sequence of registration numbers, whose next is 1. */

int SPI_connect(void) {
    return SPI_OK_CONNECT;
}

int SPI_finish(void) {
    return SPI_OK_FINISH;
}

uint64 query_write(KeptQuery *query, const Datum *args, const char *nulls) {
    return 1;
}

int64 row_int64(uint64 row, int column) {
    return 1;
}

/* For the fuzzers. */

char *take_text(const uint8_t *data, size_t size) {
    char *copy;

    if (!judge_text((const char *) data, size))
        return NULL;
    copy = palloc(size + 1);
    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

Fields *fields_of(const char *value) {
    Fields *fields = palloc0(sizeof *fields);
    Jsonb *object = palloc0(sizeof *object + sizeof value);

    object->root.header = 1 | JB_FOBJECT;
    memcpy(&object->root + 1, &value, sizeof value);
    fields->object = object;
    fields->faults = faults_new();
    return fields;
}

bool has_faults(Faults *faults) {
    char *text = psprintf("{%s}", faults->json.data);
    bool any = faults->message.len > 0;

    PROPERTY(judge_faults(text, strlen(text)) == any);
    return any;
}

static size_t judge_ranges(const char *at, const uint32 ranges[][2], size_t count) {
    uint32 code_point = 0;
    size_t size = judge_character(at, strlen(at), &code_point);

    for (size_t i = 0; size > 0 && i < count; i++)
        if (code_point >= ranges[i][0] && code_point <= ranges[i][1])
            return size;
    return 0;
}

size_t judge_blank(const char *at) {
    static const uint32 blanks[][2] = {{9, 13},          {0x20, 0x20},     {0x85, 0x85},
                                       {0xA0, 0xA0},     {0x2000, 0x200A}, {0x2028, 0x2029},
                                       {0x202F, 0x202F}, {0x3000, 0x3000}};

    return *at ? judge_ranges(at, blanks, lengthof(blanks)) : 0;
}

size_t judge_control(const char *at) {
    static const uint32 controls[][2] = {{1, 0x1F}, {0x7F, 0x9F}, {0x2028, 0x2029}};

    return *at ? judge_ranges(at, controls, lengthof(controls)) : 0;
}
