#include <string.h>

#include "check.h"
#include "codec/base64.h"
#include "evidence/control.h"
#include "fault.h"
#include "vectors.h"

static struct tl_arena arena;

static int start(void **state)
{
    (void)state;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    return 0;
}

static enum tl_leaf_kind kind_of(struct tl_str name)
{
    for (unsigned kind = TL_LEAF_GENESIS; kind <= TL_LEAF_RESTORE; kind++) {
        if (tl_str_is(name, tl_leaf_kind_name((enum tl_leaf_kind)kind))) {
            return (enum tl_leaf_kind)kind;
        }
    }
    fail_msg("no such kind");
    return TL_LEAF_ENTRY;
}

/* Finds the payload of a kind among the vectors. */
static struct tl_str payload_of(enum tl_leaf_kind kind)
{
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    while (row != NULL && kind_of(vectors_text(row, "kind")) != kind) {
        row = row->next;
    }
    return vectors_text(row, "payload");
}

static tally_status parse(enum tl_leaf_kind kind, const char *payload)
{
    struct tl_control control;
    return tl_control_parse(&control, &arena, kind, payload, strlen(payload), NULL);
}

static void reads_and_writes_the_payloads_of_the_vectors(void **state)
{
    (void)state;
    unsigned kinds = 0;
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    for (; row != NULL; row = row->next) {
        struct tl_str payload = vectors_text(row, "payload");
        enum tl_leaf_kind kind = kind_of(vectors_text(row, "kind"));
        struct tl_control control;
        struct tl_buf out;
        tl_buf_init(&out, TL_LEAF_PAYLOAD_MAX);
        check_ok(tl_control_parse(&control, &arena, kind, payload.text, payload.len, NULL));
        check_ok(tl_control_format(&out, &control, NULL));
        vectors_check_text(row, "payload", tl_buf_str(&out));
        tl_buf_release(&out);
        kinds |= 1u << (kind - TL_LEAF_GENESIS);
    }
    assert_int_equal(kinds, 0xfff);
}

static void reads_every_control_leaf_of_the_test_log(void **state)
{
    (void)state;
    static const char *const tiles[] = { "log702/tile/entries/000", "log702/tile/entries/001",
                                         "log702/tile/entries/002.p/190" };
    size_t leaves = 0;
    size_t controls = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(tiles); i++) {
        struct tl_str tile = vectors_read(&arena, tiles[i]);
        const uint8_t *bytes = (const uint8_t *)tile.text;
        for (size_t at = 0; at < tile.len; leaves++) {
            size_t len = (size_t)bytes[at] << 8 | bytes[at + 1];
            const char *payload = tile.text + at + 2 + TL_LEAF_LEN;
            struct tl_leaf leaf;
            struct tl_control control;
            check_ok(tl_leaf_decode(&leaf, bytes + at + 2, len, NULL));
            assert_int_equal(leaf.seq, leaves);
            if (tl_leaf_is_control(leaf.kind)) {
                check_ok(tl_control_parse(&control, &arena, leaf.kind, payload, len - TL_LEAF_LEN,
                                          NULL));
                controls++;
            }
            at += 2 + len;
        }
    }
    assert_int_equal(leaves, 702);
    assert_int_equal(controls, 14);
}

static void understands_what_it_reads(void **state)
{
    (void)state;
    struct tl_control c;
    struct tl_str text = payload_of(TL_LEAF_POLICY);
    check_ok(tl_control_parse(&c, &arena, TL_LEAF_POLICY, text.text, text.len, NULL));
    assert_int_equal(c.policy.number, 2);
    assert_int_equal(c.policy.erasable->count, 13);
    assert_int_equal(c.policy.class_count, 7);
    assert_int_equal(tl_policy_class(&c.policy, 5)->days, -1);
    assert_true(tl_policy_class(&c.policy, 7)->by_occurred);
    assert_true(tl_str_is(tl_policy_class(&c.policy, 6)->name, "debug"));
    assert_null(tl_policy_class(&c.policy, 8));

    static const char erase[] = "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/a\",\"/b/c\"],"
                                "\"seqs\":[3,4,5,9]}]}";
    check_ok(tl_control_parse(&c, &arena, TL_LEAF_ERASE, erase, strlen(erase), NULL));
    assert_int_equal(c.items[0].seq_count, 2);
    assert_int_equal(c.items[0].seqs[0].last, 5);
    assert_int_equal(c.items[0].seqs[1].first, 9);

    text = payload_of(TL_LEAF_RESTORE);
    check_ok(tl_control_parse(&c, &arena, TL_LEAF_RESTORE, text.text, text.len, NULL));
    assert_int_equal(c.size, 90);
    assert_int_equal(c.lost_size, 100);
    assert_true(c.has_lost_root && c.has_mac_id && c.has_log_key && c.has_epoch_key);

    text = payload_of(TL_LEAF_GAP);
    check_ok(tl_control_parse(&c, &arena, TL_LEAF_GAP, text.text, text.len, NULL));
    assert_int_equal(c.to_us - c.from_us, 5000000);
}

static void no_payload_is_one_of_another_kind(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    for (; row != NULL; row = row->next) {
        struct tl_str payload = vectors_text(row, "payload");
        for (unsigned kind = TL_LEAF_GENESIS; kind <= TL_LEAF_RESTORE; kind++) {
            struct tl_control control;
            bool same = kind == kind_of(vectors_text(row, "kind"));
            check_status(tl_control_parse(&control, &arena, (enum tl_leaf_kind)kind, payload.text,
                                          payload.len, NULL),
                         same ? TALLY_OK : TALLY_ECORRUPT);
        }
    }
}

/*
 * Writes the payload with `value` for that of member number `index`, or without that member if
 * `value` is NULL, and with `extra` at the end.
 */
static struct tl_str change(struct tl_buf *out, const struct tl_json *root, uint32_t index,
                            const char *value, const char *extra)
{
    uint32_t i = 0;
    tl_buf_clear(out);
    tl_buf_add_char(out, '{');
    for (const struct tl_json *m = root->first; m != NULL; m = m->next, i++) {
        if (i == index && value == NULL) {
            continue;
        }
        tl_buf_add_text(out, out->len > 1 ? "," : "");
        tl_json_write_string(out, m->key);
        tl_buf_add_char(out, ':');
        if (i == index) {
            tl_buf_add_text(out, value);
        } else {
            tl_json_write(out, m);
        }
    }
    tl_buf_add_text(out, extra);
    tl_buf_add_char(out, '}');
    return tl_buf_str(out);
}

static void wants_values_of_the_right_types(void **state)
{
    (void)state;
    static const char *const wrong[] = { "null",
                                         "{}",
                                         "[null]",
                                         "[[null,1]]",
                                         "[[1,null]]",
                                         "[{\"a\":1}]",
                                         "-7",
                                         "1.5",
                                         "\"\"",
                                         "\"\xc3\xa9 \"",
                                         "[{\"pointers\":[1],\"seqs\":[1]}]",
                                         "[{\"pointers\":[\"/a\"],\"seqs\":[null]}]",
                                         "[{\"class\":null,\"days\":1,\"name\":\"n\"}]",
                                         "[{\"class\":1,\"days\":null,\"name\":\"n\"}]",
                                         "[{\"class\":1,\"days\":1,\"name\":null}]" };
    struct tl_buf out;
    struct tl_arena each;
    tl_buf_init(&out, TL_LEAF_PAYLOAD_MAX);
    tl_arena_init(&each, VECTORS_ARENA_BYTES);
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    for (; row != NULL; row = row->next) {
        enum tl_leaf_kind kind = kind_of(vectors_text(row, "kind"));
        struct tl_str payload = vectors_text(row, "payload");
        const struct tl_json *root = NULL;
        check_ok(
            tl_json_read(&arena, payload.text, payload.len, &tl_json_limits_format, &root, NULL));
        for (uint32_t i = 0; i < root->count * TL_ARRAY_LEN(wrong); i++) {
            const struct tl_json *member = root->first;
            for (uint32_t n = i / TL_ARRAY_LEN(wrong); n > 0; n--) {
                member = member->next;
            }
            const char *value = wrong[i % TL_ARRAY_LEN(wrong)];
            bool is_free_text = tl_str_is(member->key, "basis") || tl_str_is(member->key, "hold") ||
                                tl_str_is(member->key, "note") || tl_str_is(member->key, "ref") ||
                                tl_str_is(member->key, "reason") ||
                                tl_str_is(member->key, "source") ||
                                tl_str_is(member->key, "ticket");
            struct tl_str text = change(&out, root, i / TL_ARRAY_LEN(wrong), value, "");
            struct tl_control control;
            tally_status want = is_free_text && tl_str_is(tl_str_of(value), "\"\xc3\xa9 \"")
                                    ? TALLY_OK
                                    : TALLY_ECORRUPT;
            tl_arena_reset(&each);
            check_status(tl_control_parse(&control, &each, kind, text.text, text.len, NULL), want);
        }
    }
    tl_arena_release(&each);
    tl_buf_release(&out);
}

static void wants_exactly_the_members_of_its_kind(void **state)
{
    (void)state;
    struct tl_buf out;
    tl_buf_init(&out, TL_LEAF_PAYLOAD_MAX);
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    for (; row != NULL; row = row->next) {
        enum tl_leaf_kind kind = kind_of(vectors_text(row, "kind"));
        struct tl_str payload = vectors_text(row, "payload");
        const struct tl_json *root = NULL;
        struct tl_control control;
        check_ok(
            tl_json_read(&arena, payload.text, payload.len, &tl_json_limits_format, &root, NULL));
        struct tl_str more = change(&out, root, UINT32_MAX, NULL, ",\"zz\":1");
        check_status(tl_control_parse(&control, &arena, kind, more.text, more.len, NULL),
                     TALLY_ECORRUPT);
        uint32_t optional = 0;
        for (uint32_t skip = 0; skip < root->count; skip++) {
            struct tl_str less = change(&out, root, skip, NULL, "");
            tally_status status =
                tl_control_parse(&control, &arena, kind, less.text, less.len, NULL);
            optional += status == TALLY_OK;
        }
        /* KEY: each of its keys, and the note; a basis, a ticket, a source, a lost root. */
        static const uint32_t want[] = { 0, 0, 0, 0, 1, 1, 0, 3, 0, 1, 0, 1 };
        assert_int_equal(optional, want[kind - TL_LEAF_GENESIS]);
    }
    tl_buf_release(&out);
}

#define R32 "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""
#define H32 "\"0000000000000000000000000000000000000000000000000000000000000000\""
#define ANCHOR(kind, ref, root, size)                                              \
    "{\"digest\":" H32 ",\"kind\":\"" kind "\",\"ref\":\"" ref "\",\"root\":" root \
    ",\"size\":" size "}"
#define GAP(count, exact, from, to)                                                                \
    "{\"count\":" count ",\"exact\":" exact ",\"from\":\"" from "\",\"reason\":\"r\",\"to\":\"" to \
    "\"}"
#define T0 "2026-01-01T01:22:51Z"
#define T1 "2026-01-01T01:22:51.000001Z"

static void accepts_what_the_format_allows(void **state)
{
    (void)state;
    static const struct {
        enum tl_leaf_kind kind;
        const char *payload;
    } table[] = {
        { TL_LEAF_RELEASE, "{\"by\":\"b\",\"hold\":\"h\",\"note\":\"n\"}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[0,0],[1,9007199254740991]]}" },
        { TL_LEAF_PURGE, "{\"before_seq\":0,\"count\":0,\"cutoff_day\":4294967294}" },
        { TL_LEAF_PURGE, "{\"count\":2,\"override\":true,\"ranges\":[[12,13]]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"\"],\"seqs\":[1]}]}" },
        { TL_LEAF_ANCHOR, ANCHOR("rfc3161", "x", R32, "1") },
        { TL_LEAF_ANCHOR, ANCHOR("paper", "x", R32, "9007199254740991") },
        { TL_LEAF_GAP, GAP("1", "true", T0, T0) },
        { TL_LEAF_GAP, GAP("0", "false", T0, T1) },
        { TL_LEAF_GAP, GAP("0", "true", T1, T0) }, /* what no sound writer writes */
        { TL_LEAF_RESUME, "{\"clean\":false,\"size\":1,\"tail_bytes\":9,\"tail_sha256\":" H32 "}" },
        { TL_LEAF_RESUME, "{\"clean\":false,\"size\":1,\"tail_bytes\":9}" },
        { TL_LEAF_RESUME, "{\"clean\":false,\"size\":1,\"tail_bytes\":0,\"tail_sha256\":" H32 "}" },
        { TL_LEAF_KEY, "{\"mac_id\":" H32 "}" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (parse(table[i].kind, table[i].payload) != TALLY_OK) {
            fail_msg("refused: %s", table[i].payload);
        }
    }
}

static void refuses_what_the_format_does_not_allow(void **state)
{
    (void)state;
    static const struct {
        enum tl_leaf_kind kind;
        const char *payload;
    } table[] = {
        { TL_LEAF_RELEASE, "" },
        { TL_LEAF_RELEASE, "[]" },
        { TL_LEAF_RELEASE, "{}" },
        { TL_LEAF_RELEASE, "{\"hold\":\"\"}" },
        { TL_LEAF_RELEASE, "{\"hold\":1}" },
        { TL_LEAF_RELEASE, "{ \"hold\":\"h\"}" },
        { TL_LEAF_RELEASE, "{\"hold\":\"h\",\"hold\":\"h\"}" },
        { TL_LEAF_RELEASE, "{\"note\":\"n\",\"hold\":\"h\"}" },
        { TL_LEAF_RELEASE, "{\"by\":\"\",\"hold\":\"h\"}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[2,1]]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[1,2],[2,3]]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[4,5],[1,2]]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[1]]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[1,2,3]]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[1]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[-1,2]]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[1,1.5]]}" },
        { TL_LEAF_PURGE, "{\"before_seq\":1,\"count\":0,\"cutoff_day\":4294967295}" },
        { TL_LEAF_PURGE, "{\"before_seq\":1,\"count\":0,\"cutoff_day\":-1}" },
        { TL_LEAF_PURGE, "{\"count\":2,\"override\":false,\"ranges\":[[12,13]]}" },
        { TL_LEAF_PURGE, "{\"count\":2,\"ranges\":[[12,13]]}" },
        { TL_LEAF_PURGE, "{\"before_seq\":1,\"count\":2,\"cutoff_day\":1,\"override\":true,"
                         "\"ranges\":[[12,13]]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[],\"seqs\":[1]}]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/a\"],\"seqs\":[]}]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/a\"],\"seqs\":[2,1]}]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/a\"],\"seqs\":[1,1]}]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/a\"],\"seqs\":[[1,2]]}]}" },
        { TL_LEAF_ERASE,
          "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"\",\"/a\"],\"seqs\":[1]}]}" },
        { TL_LEAF_ERASE,
          "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/b\",\"/a\"],\"seqs\":[1]}]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"a\"],\"seqs\":[1]}]}" },
        { TL_LEAF_ERASE, "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/id\"],\"seqs\":[1]}]}" },
        { TL_LEAF_ERASE,
          "{\"basis\":\"b\",\"items\":[{\"pointers\":[\"/a\"],\"seqs\":[1],\"x\":1}]}" },
        { TL_LEAF_ANCHOR, ANCHOR("moon", "x", R32, "1") },
        { TL_LEAF_ANCHOR, ANCHOR("git", "x", R32, "0") },
        { TL_LEAF_ANCHOR, ANCHOR("git", "", R32, "1") },
        { TL_LEAF_ANCHOR, ANCHOR("git", "x", H32, "1") },
        { TL_LEAF_ANCHOR, ANCHOR("git", "x", R32, "\"1\"") },
        { TL_LEAF_GAP, GAP("1", "1", T0, T1) },
        { TL_LEAF_GAP, GAP("1", "true", "2026-01-01T01:22:51.000000Z", T1) },
        { TL_LEAF_GAP, GAP("1", "true", "2026-01-01T02:22:51+01:00", T1) },
        { TL_LEAF_RESUME, "{\"clean\":true,\"size\":0,\"tail_bytes\":0}" },
        { TL_LEAF_KEY, "{}" },
        { TL_LEAF_KEY, "{\"mac_id\":\"00\"}" },
        { TL_LEAF_KEY, "{\"log_key\":\"x\"}" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (parse(table[i].kind, table[i].payload) != TALLY_ECORRUPT) {
            fail_msg("not refused: %s", table[i].payload);
        }
    }
}

/* Replaces the first occurrence of `from` in the payload of a kind, and parses. */
static tally_status parse_with(enum tl_leaf_kind kind, const char *from, const char *to)
{
    struct tl_str text = payload_of(kind);
    const char *at = memmem(text.text, text.len, from, strlen(from));
    assert_non_null(at);
    size_t before = (size_t)(at - text.text);
    struct tl_buf out;
    struct tl_control control;
    tl_buf_init(&out, TL_LEAF_PAYLOAD_MAX);
    tl_buf_add(&out, text.text, before);
    tl_buf_add_text(&out, to);
    tl_buf_add(&out, at + strlen(from), text.len - before - strlen(from));
    tally_status status = tl_control_parse(&control, &arena, kind, out.data, out.len, NULL);
    tl_buf_release(&out);
    return status;
}

static void bounds_what_genesis_and_policy_fix(void **state)
{
    (void)state;
    static const struct {
        enum tl_leaf_kind kind;
        const char *from;
        const char *to;
        tally_status want;
    } table[] = {
        { TL_LEAF_GENESIS, "seconds\":3600", "seconds\":60", TALLY_OK },
        { TL_LEAF_GENESIS, "seconds\":3600", "seconds\":86400", TALLY_OK },
        { TL_LEAF_GENESIS, "seconds\":3600", "seconds\":59", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "seconds\":3600", "seconds\":86401", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "00:00:00Z", "00:00:00.500000Z", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "2026-", "1969-", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "\"policy\":1", "\"policy\":2", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "\"v\":1", "\"v\":2", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "\"v\":1", "\"v\":1,\"volatile\":true", TALLY_OK },
        { TL_LEAF_GENESIS, "\"v\":1", "\"v\":1,\"volatile\":false", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "\"origin\":\"audit", "\"origin\":\"budit", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "/actor/name", "/id", TALLY_ECORRUPT },
        { TL_LEAF_GENESIS, "\"/actor/name\",\"/meta", "\"/metadata\",\"/meta", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"policy\":2", "\"policy\":1", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"class\":1", "\"class\":0", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"class\":1", "\"class\":2", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"class\":7", "\"class\":65535", TALLY_OK },
        { TL_LEAF_POLICY, "\"class\":7", "\"class\":65536", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"days\":-1", "\"days\":-2", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"days\":3650,", "\"days\":36500,", TALLY_OK },
        { TL_LEAF_POLICY, "\"days\":3650,", "\"days\":36501,", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "occurred", "sealed", TALLY_ECORRUPT },
        { TL_LEAF_POLICY, "\"debug\"", "\"\"", TALLY_ECORRUPT },
        { TL_LEAF_EPOCH, "\"from\":0,\"to\":1", "\"from\":1,\"to\":1", TALLY_OK },
        { TL_LEAF_EPOCH, "\"from\":0,\"to\":1", "\"from\":0,\"to\":2", TALLY_OK },
        { TL_LEAF_EPOCH, "\"from\":0,\"to\":1", "\"from\":0,\"to\":4294967296", TALLY_ECORRUPT },
        { TL_LEAF_RESTORE, "\"from_size\":90", "\"from_size\":101", TALLY_ECORRUPT },
        { TL_LEAF_RESTORE, "\"from_size\":90", "\"from_size\":0", TALLY_ECORRUPT },
        { TL_LEAF_RESTORE, "prod-7f3a9c21", "prod-b04d11e6", TALLY_ECORRUPT },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (parse_with(table[i].kind, table[i].from, table[i].to) != table[i].want) {
            fail_msg("%s -> %s", table[i].from, table[i].to);
        }
    }
}

static tally_status format(const struct tl_control *control)
{
    struct tl_buf out;
    tl_buf_init(&out, (size_t)1 << 20);
    tally_status status = tl_control_format(&out, control, NULL);
    if (status == TALLY_OK) {
        struct tl_control again;
        check_ok(tl_control_parse(&again, &arena, control->kind, out.data, out.len, NULL));
    } else {
        assert_int_equal(out.len, 0);
    }
    tl_buf_release(&out);
    return status;
}

static void writes_nothing_that_it_would_not_read(void **state)
{
    (void)state;
    struct tl_control hold = { .kind = TL_LEAF_HOLD, .hold = TL_STR("h") };
    struct tl_range range = { .first = 1, .last = UINT64_C(1) << 53 };
    check_status(format(&hold), TALLY_EINVAL);
    hold.ranges = &range;
    hold.range_count = 1;
    check_status(format(&hold), TALLY_EINVAL);
    range.last--;
    check_ok(format(&hold));
    hold.hold = TL_STR("\xff");
    check_status(format(&hold), TALLY_EINVAL);
    hold.hold = (struct tl_str){ .text = "a\0b", .len = 3 };
    check_status(format(&hold), TALLY_EINVAL);
    hold.hold = (struct tl_str){ 0 };
    check_status(format(&hold), TALLY_EINVAL);

    const struct tl_str whole = TL_STR("");
    const struct tl_erase_item item = {
        .pointers = &whole, .pointer_count = 1, .seqs = &range, .seq_count = 1
    };
    struct tl_control erase = {
        .kind = TL_LEAF_ERASE, .basis = TL_STR("b"), .items = &item, .item_count = 1
    };
    check_status(format(&erase), TALLY_ELIMIT); /* 2^53 numbers */
    range.last = 3;
    check_ok(format(&erase));

    const struct tl_control gap = { .kind = TL_LEAF_GAP,
                                    .count = 1,
                                    .reason = TL_STR("r"),
                                    .from_us = INT64_MIN,
                                    .to_us = INT64_MAX };
    check_status(format(&gap), TALLY_EINVAL);
    const struct tl_control moment = { .kind = TL_LEAF_GAP, .count = 1, .reason = TL_STR("r") };
    check_ok(format(&moment));
    const struct tl_control entry = { .kind = TL_LEAF_ENTRY };
    check_status(format(&entry), TALLY_EINVAL);
    struct tl_control key = { .kind = TL_LEAF_KEY };
    check_status(format(&key), TALLY_EINVAL);
    key.has_mac_id = true;
    check_ok(format(&key));
}

static void the_approval_of_the_vectors_holds(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "approval");
    struct tl_str payload = vectors_text(section, "payload");
    struct tl_str approval = vectors_text(section, "approval");
    struct tl_buf with;
    struct tl_buf text;
    tl_buf_init(&with, TL_LEAF_PAYLOAD_MAX);
    tl_buf_init(&text, TL_LEAF_PAYLOAD_MAX);
    tl_buf_add_text(&with, "{\"approval\":\"");
    tl_buf_add_str(&with, approval);
    tl_buf_add_text(&with, "\",");
    tl_buf_add(&with, payload.text + 1, payload.len - 1);
    struct tl_control control;
    check_ok(tl_control_parse(&control, &arena, TL_LEAF_PURGE, with.data, with.len, NULL));
    assert_true(tl_str_equal(control.approval, approval));
    check_ok(tl_approval_text(&text, vectors_text(section, "origin"), TL_LEAF_PURGE, with.data,
                              with.len, &arena));
    vectors_check_text(section, "text", tl_buf_str(&text));

    struct tl_vkey key;
    const struct tl_json *row = vectors_section(&arena, "keys")->first;
    uint8_t bytes[68];
    size_t len = 0;
    bool valid = false;
    while (row->next != NULL) { /* the approver is last */
        row = row->next;
    }
    check_ok(tl_vkey_parse(&key, vectors_text(row, "vkey"), NULL));
    check_ok(tl_base64_decode(bytes, sizeof(bytes), &len, approval.text, approval.len));
    assert_int_equal(len, sizeof(bytes));
    check_ok(tl_ed25519_verify(&valid, key.public_key, text.data, text.len, bytes + 4));
    assert_true(valid);
    tl_buf_release(&with);
    tl_buf_release(&text);
}

static tally_status parse_and_format(const void *ctx)
{
    const struct tl_str *payload = ctx;
    struct tl_control control;
    struct tl_arena own;
    tl_arena_init(&own, (size_t)4 << 20);
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, TL_LEAF_PAYLOAD_MAX);
    tally_status status =
        tl_control_parse(&control, &own, TL_LEAF_GENESIS, payload->text, payload->len, NULL);
    if (status == TALLY_OK) {
        status = tl_control_format(&out, &control, NULL);
    }
    if (status == TALLY_OK) {
        status =
            tl_approval_text(&out, control.origin, control.kind, payload->text, payload->len, &own);
    }
    tl_arena_release(&own);
    return status;
}

static void says_so_when_memory_runs_out(void **state)
{
    (void)state;
    struct tl_str payload = payload_of(TL_LEAF_GENESIS);
    assert_true(fault_each_alloc(parse_and_format, &payload) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_payloads_of_the_vectors),
        cmocka_unit_test(reads_every_control_leaf_of_the_test_log),
        cmocka_unit_test(understands_what_it_reads),
        cmocka_unit_test(no_payload_is_one_of_another_kind),
        cmocka_unit_test(wants_exactly_the_members_of_its_kind),
        cmocka_unit_test(wants_values_of_the_right_types),
        cmocka_unit_test(accepts_what_the_format_allows),
        cmocka_unit_test(refuses_what_the_format_does_not_allow),
        cmocka_unit_test(bounds_what_genesis_and_policy_fix),
        cmocka_unit_test(writes_nothing_that_it_would_not_read),
        cmocka_unit_test(the_approval_of_the_vectors_holds),
        cmocka_unit_test(says_so_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
