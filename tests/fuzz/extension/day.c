/* Days in queries: accepted is YYYY-MM-DD of the calendar, and the day is as many days from
 * 2000-01-01 as counting them gives. */
#include "visit_api.c"

#include "harness.h"

static bool is_leap(int year) {
    return year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
}

/* False if the text names no day. */
static bool judge_day(const char *text, int *day) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month;

    if (strlen(text) != 10)
        return false;
    for (int i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
    year = atoi(text);
    month = atoi(text + 5);
    *day = atoi(text + 8);
    if (year < 1 || month < 1 || month > 12 || *day < 1 ||
        *day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return false;
    *day -= 1;
    for (int m = 1; m < month; m++)
        *day += lengths[m - 1] + (m == 2 && is_leap(year));
    for (int y = 2000; y < year; y++)
        *day += 365 + is_leap(y);
    for (int y = 2000; y > year; y--)
        *day -= 365 + is_leap(y - 1);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = take_text(data, size);
    Fields *query;
    Datum value;
    bool found;
    int day;

    if (text == NULL || *text == '\0') {
        free_all();
        return 0;
    }
    query = fields_of(text);
    found = query_day(query, "date", &value);
    PROPERTY(found == judge_day(text, &day));
    PROPERTY(has_faults(query->faults) == !found);
    PROPERTY(!found || DatumGetDateADT(value) == day);
    free_all();
    return 0;
}
