/* Random documents, whole and damaged, read by us and by jansson. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "json_diff.h"

#define DOCUMENTS ((size_t)50000)

struct maker {
    uint64_t seed;
    char text[4096];
    size_t len;
};

static uint64_t below(struct maker *m, uint64_t end)
{
    tl_assert(end > 0);
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return (m->seed >> 8) % end;
}

static void add(struct maker *m, const char *text)
{
    size_t len = strlen(text);
    if (len <= sizeof(m->text) - m->len) {
        memcpy(m->text + m->len, text, len);
        m->len += len;
    }
}

static void add_one_of(struct maker *m, const char *const *list, size_t count)
{
    add(m, list[below(m, count)]);
}

static void add_space(struct maker *m)
{
    static const char *const spaces[] = { "", "", "", "", "", " ", "\t", "\r\n" };
    add_one_of(m, spaces, TL_ARRAY_LEN(spaces));
}

static void add_string(struct maker *m)
{
    static const char *const parts[] = {
        "a",
        "b",
        "key",
        "0",
        " ",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\u0041",
        "\\u00E9",
        "é",
        "€",
        "😀",
        "\\ud83d\\ude00",
        "\\u001f",
        "\\b",
        "\x7F",
        "\\uffff",
        "\xEE\x80\x80",
        "a longer run of plain text, to fill more than one block",
    };
    add(m, "\"");
    for (uint64_t n = below(m, 5); n > 0; n--) {
        add_one_of(m, parts, TL_ARRAY_LEN(parts));
    }
    add(m, "\"");
}

static void add_number(struct maker *m)
{
    static const char *const numbers[] = {
        "0",
        "-0",
        "1",
        "-12",
        "3.25",
        "0.1",
        "1e3",
        "1E-7",
        "9007199254740991",
        "1e21",
        "123456789.125",
        "5e-324",
        "1.7976931348623157e308",
        "1e23",
        "0e5",
        "2.2250738585072011e-308",
        "333333333.33333329",
        "-1.5e+2",
    };
    char text[64];
    if (below(m, 2) == 0) {
        add_one_of(m, numbers, TL_ARRAY_LEN(numbers));
        return;
    }
    uint64_t fraction = below(m, below(m, 2) == 0 ? 100 : 1000000000);
    (void)snprintf(text, sizeof(text), "%d.%ue%d", (int)below(m, 2000) - 1000, (unsigned)fraction,
                   (int)below(m, 600) - 300);
    add(m, text);
}

static void add_value(struct maker *m, unsigned depth);

static void add_container(struct maker *m, unsigned depth, bool object)
{
    add(m, object ? "{" : "[");
    for (uint64_t n = below(m, 6), i = 0; i < n; i++) {
        add(m, i == 0 ? "" : ",");
        add_space(m);
        if (object) {
            add_string(m);
            add_space(m);
            add(m, ":");
        }
        add_value(m, depth + 1);
    }
    add_space(m);
    add(m, object ? "}" : "]");
}

static void add_value(struct maker *m, unsigned depth)
{
    static const char *const literals[] = { "null", "true", "false" };
    add_space(m);
    switch (below(m, depth < 5 ? 6 : 3)) {
    case 0:
        add_one_of(m, literals, TL_ARRAY_LEN(literals));
        break;
    case 1:
        add_number(m);
        break;
    case 2:
        add_string(m);
        break;
    default:
        add_container(m, depth, below(m, 3) != 0);
        break;
    }
    add_space(m);
}

/* Changes, removes or doubles a byte. */
static void damage(struct maker *m)
{
    static const char likely[] = "\"\\{}[],:0123456789eE.-+utfn \x80\xC3\xED\xF4\x01";
    tl_assert(m->len > 0);
    size_t at = below(m, m->len);
    switch (below(m, 3)) {
    case 0:
        m->text[at] = likely[below(m, sizeof(likely))];
        break;
    case 1:
        memmove(m->text + at, m->text + at + 1, m->len - at - 1);
        m->len--;
        break;
    default:
        if (m->len < sizeof(m->text)) {
            memmove(m->text + at + 1, m->text + at, m->len - at);
            m->len++;
        }
        break;
    }
}

static void agrees_with_jansson_on_random_documents(void **state)
{
    (void)state;
    struct maker m = { .seed = 0x7A11E5 };
    size_t accepted = 0;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        m.len = 0;
        add_value(&m, 0);
        accepted += json_diff(m.text, m.len) ? 1 : 0;
        damage(&m);
        accepted += json_diff(m.text, m.len) ? 1 : 0;
    }
    assert_true(accepted > DOCUMENTS / 2);
    assert_true(accepted < 2 * DOCUMENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_jansson_on_random_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
