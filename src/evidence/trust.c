#include "evidence/trust.h"

#include "base/limits.h"
#include "base/parse.h"
#include "base/secret.h"

#define WORDS_MAX (3u + TL_TRUST_KEYS_MAX * 2u) /* "group", name, threshold, members */
#define GROUP_BIT TL_TRUST_KEYS_MAX             /* what sets groups apart from witnesses */
#define NONE      "none"

_Static_assert(TL_TRUST_KEYS_MAX == 64, "witness and group sets are bits of uint64_t");

/* One line, cut at blanks. */
struct line {
    struct tl_str words[WORDS_MAX];
    size_t count;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* False if there are too many words, or a control character. */
static bool split_words(struct line *out, struct tl_str text)
{
    out->count = 0;
    for (size_t i = 0; i < text.len;) {
        if (is_blank(text.text[i])) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < text.len && !is_blank(text.text[i])) {
            unsigned char c = (unsigned char)text.text[i++];
            if (c < ' ' || c == 0x7f) {
                return false;
            }
        }
        if (out->count == WORDS_MAX) {
            return false;
        }
        out->words[out->count++] = (struct tl_str){ .text = text.text + start, .len = i - start };
    }
    return true;
}

/* By this alone: one key under two names would have two votes. */
static bool has_same_key(const struct tl_vkey *a, const struct tl_vkey *b)
{
    return tl_equal_const_time(a->public_key, b->public_key, sizeof(a->public_key));
}

/* This and the readers below return what is wrong with the line, or NULL. */
static const char *add_key(struct tl_vkey *keys, uint32_t *count, struct tl_str text, uint8_t type)
{
    struct tl_vkey key;
    if (tl_vkey_parse(&key, text, NULL) != TALLY_OK) {
        return "not a verifier key";
    }
    if (key.type != type) {
        return "a key of this type does not belong here";
    }
    for (uint32_t i = 0; i < *count; i++) {
        if (has_same_key(&keys[i], &key)) {
            return "this key was there before";
        }
    }
    if (*count == TL_TRUST_KEYS_MAX) {
        return "too many keys";
    }
    keys[(*count)++] = key;
    return NULL;
}

static const char *read_log(struct tl_trust *out, const struct line *line)
{
    if (line->count < 2 || line->count > 3) {
        return "want 'log VKEY [URL]'";
    }
    const char *fault = add_key(out->logs, &out->log_count, line->words[1], TL_NOTE_TYPE_ED25519);
    if (fault == NULL && !tl_origin_is_valid(tl_str_of(out->logs[out->log_count - 1].name))) {
        return "the name of the key is no origin";
    }
    return fault;
}

/* Finds a witness or a group; -1 if there is none of that name. */
static int find_name(const struct tl_trust *trust, struct tl_str name)
{
    for (uint32_t i = 0; i < trust->witness_count; i++) {
        if (tl_str_is(name, trust->witnesses[i].name)) {
            return (int)i;
        }
    }
    for (uint32_t i = 0; i < trust->group_count; i++) {
        if (tl_str_is(name, trust->groups[i].name)) {
            return (int)(GROUP_BIT + i);
        }
    }
    return -1;
}

static const char *take_name(const struct tl_trust *trust, char *out, size_t size,
                             struct tl_str name)
{
    if (name.len >= size) {
        return "the name is too long";
    }
    if (tl_str_is(name, NONE) || find_name(trust, name) >= 0) {
        return "the name is taken";
    }
    memcpy(out, name.text, name.len);
    out[name.len] = '\0';
    return NULL;
}

static const char *read_witness(struct tl_trust *out, const struct line *line)
{
    if (line->count < 3 || line->count > 4) {
        return "want 'witness NAME VKEY [URL]'";
    }
    if (out->witness_count == TL_TRUST_KEYS_MAX) {
        return "too many witnesses";
    }
    struct tl_trust_witness *witness = &out->witnesses[out->witness_count];
    const char *fault = take_name(out, witness->name, sizeof(witness->name), line->words[1]);
    uint32_t none = 0;
    fault = fault != NULL ? fault
                          : add_key(&witness->key, &none, line->words[2], TL_NOTE_TYPE_COSIGNED);
    for (uint32_t i = 0; fault == NULL && i < out->witness_count; i++) {
        if (has_same_key(&out->witnesses[i].key, &witness->key)) {
            return "this key was there before";
        }
    }
    out->witness_count += fault == NULL;
    return fault;
}

static const char *read_threshold(struct tl_trust_group *group, struct tl_str word)
{
    uint64_t threshold = group->member_count;
    if (tl_str_is(word, "any")) {
        threshold = 1;
    } else if (!tl_str_is(word, "all") &&
               tl_parse_u64(word.text, word.len, group->member_count, &threshold) != TALLY_OK) {
        return "the threshold is not 'any', 'all', or 1 up to the number of members";
    }
    group->threshold = (uint32_t)threshold;
    return threshold == 0 ? "the threshold is 0" : NULL;
}

static const char *read_group(struct tl_trust *out, const struct line *line)
{
    if (line->count < 4 || line->count - 3 > TL_TRUST_KEYS_MAX) {
        return "want 'group NAME any|all|K MEMBER...'";
    }
    if (out->group_count == TL_TRUST_KEYS_MAX) {
        return "too many groups";
    }
    struct tl_trust_group *group = &out->groups[out->group_count];
    const char *fault = take_name(out, group->name, sizeof(group->name), line->words[1]);
    if (fault != NULL) {
        return fault;
    }
    group->member_count = 0;
    for (size_t i = 3; i < line->count; i++) {
        int member = find_name(out, line->words[i]);
        if (member < 0) {
            return "no witness or group of this name in the lines before";
        }
        /* A name counts once in all groups, so that no witness has two votes. */
        for (uint32_t g = 0; g <= out->group_count; g++) {
            if (memchr(out->groups[g].members, member, out->groups[g].member_count) != NULL) {
                return "a member is in a group already";
            }
        }
        group->members[group->member_count++] = (uint8_t)member;
    }
    fault = read_threshold(group, line->words[2]);
    out->group_count += fault == NULL;
    return fault;
}

static const char *read_quorum(struct tl_trust *out, const struct line *line, bool *seen)
{
    if (line->count != 2) {
        return "want 'quorum NAME|none'";
    }
    if (*seen) {
        return "a second quorum";
    }
    *seen = true;
    if (tl_str_is(line->words[1], NONE)) {
        return NULL;
    }
    int name = find_name(out, line->words[1]);
    if (name < 0) {
        return "no witness or group of this name in the lines before";
    }
    out->has_quorum = true;
    out->quorum = (uint8_t)name;
    return NULL;
}

static const char *read_approve(struct tl_trust *out, const struct line *line)
{
    if (line->count < 3) {
        return "want '#tally approve KIND...'";
    }
    for (size_t i = 2; i < line->count; i++) {
        unsigned kind = TL_LEAF_GENESIS;
        while (kind <= TL_LEAF_RESTORE &&
               !tl_str_is(line->words[i], tl_leaf_kind_name((enum tl_leaf_kind)kind))) {
            kind++;
        }
        if (kind > TL_LEAF_RESTORE) {
            return "no such kind of leaf";
        }
        if (!tl_leaf_is_act((enum tl_leaf_kind)kind)) {
            return "nobody decides on leaves of this kind: they cannot be approved";
        }
        out->approve_kinds |= 1u << (kind - TL_LEAF_GENESIS);
    }
    return NULL;
}

/* A comment to other readers. What we do not know, we must not pass over. */
static const char *read_tally(struct tl_trust *out, const struct line *line)
{
    if (line->count == 3 && tl_str_is(line->words[1], "epoch")) {
        return add_key(out->epochs, &out->epoch_count, line->words[2], TL_NOTE_TYPE_COSIGNED);
    }
    if (line->count == 3 && tl_str_is(line->words[1], "approver")) {
        return add_key(out->approvers, &out->approver_count, line->words[2], TL_NOTE_TYPE_ED25519);
    }
    if (line->count >= 2 && tl_str_is(line->words[1], "approve")) {
        return read_approve(out, line);
    }
    return "want '#tally epoch VKEY', '#tally approver VKEY' or '#tally approve KIND...'";
}

static const char *read_line(struct tl_trust *out, struct tl_str text, bool *has_quorum)
{
    struct line line;
    size_t at = 0;
    while (at < text.len && is_blank(text.text[at])) {
        at++;
    }
    struct tl_str trimmed = { .text = text.text + at, .len = text.len - at };
    bool is_comment = trimmed.len > 0 && trimmed.text[0] == '#';
    bool is_ours =
        tl_str_starts(trimmed, TL_STR("#tally")) && (trimmed.len == 6 || is_blank(trimmed.text[6]));
    if (trimmed.len == 0 || (is_comment && !is_ours)) {
        return NULL;
    }
    if (!split_words(&line, trimmed)) {
        return "too many words, or a control character";
    }
    struct tl_str first = line.words[0];
    if (is_ours) {
        return read_tally(out, &line);
    }
    if (tl_str_is(first, "log")) {
        return read_log(out, &line);
    }
    if (tl_str_is(first, "witness")) {
        return read_witness(out, &line);
    }
    if (tl_str_is(first, "group")) {
        return read_group(out, &line);
    }
    if (tl_str_is(first, "quorum")) {
        return read_quorum(out, &line, has_quorum);
    }
    return "want 'log', 'witness', 'group', 'quorum' or a comment";
}

tally_status tl_trust_parse(struct tl_trust *out, const char *text, size_t len,
                            struct tally_error *err)
{
    if (len > TL_CONFIG_BYTES_MAX) {
        return tl_fail(err, TALLY_EINVAL, "trust file of %zu bytes; at most %zu", len,
                       TL_CONFIG_BYTES_MAX);
    }
    memset(out, 0, sizeof(*out));
    bool has_quorum = false;
    unsigned number = 1;
    for (size_t at = 0; at < len; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end == NULL ? len - at : (size_t)(end - (text + at));
        struct tl_str line = { .text = text + at, .len = line_len };
        const char *fault = read_line(out, line, &has_quorum);
        if (fault != NULL) {
            return tl_fail(err, TALLY_EINVAL, "trust file, line %u: %s", number, fault);
        }
        at += line_len + 1;
    }
    if (!has_quorum) { /* that nobody witnesses must be said, not forgotten */
        return tl_fail(err, TALLY_EINVAL, "trust file without a line 'quorum NAME|none'");
    }
    return TALLY_OK;
}

static void write_vkey(struct tl_buf *out, const char *before, const struct tl_vkey *key)
{
    char text[TL_VKEY_SIZE];
    tl_vkey_format(text, key);
    tl_buf_addf(out, "%s %s\n", before, text);
}

static const char *name_of(const struct tl_trust *trust, uint8_t member)
{
    return member < GROUP_BIT ? trust->witnesses[member].name
                              : trust->groups[member - GROUP_BIT].name;
}

void tl_trust_format(struct tl_buf *out, const struct tl_trust *trust)
{
    for (uint32_t i = 0; i < trust->log_count; i++) {
        write_vkey(out, "log", &trust->logs[i]);
    }
    for (uint32_t i = 0; i < trust->witness_count; i++) {
        tl_buf_addf(out, "witness %s", trust->witnesses[i].name);
        write_vkey(out, "", &trust->witnesses[i].key);
    }
    for (uint32_t i = 0; i < trust->group_count; i++) {
        const struct tl_trust_group *group = &trust->groups[i];
        tl_buf_addf(out, "group %s %u", group->name, group->threshold);
        for (uint32_t j = 0; j < group->member_count; j++) {
            tl_buf_addf(out, " %s", name_of(trust, group->members[j]));
        }
        tl_buf_add_char(out, '\n');
    }
    tl_buf_addf(out, "quorum %s\n", trust->has_quorum ? name_of(trust, trust->quorum) : NONE);
    for (uint32_t i = 0; i < trust->epoch_count; i++) {
        write_vkey(out, "#tally epoch", &trust->epochs[i]);
    }
    for (uint32_t i = 0; i < trust->approver_count; i++) {
        write_vkey(out, "#tally approver", &trust->approvers[i]);
    }
    if (trust->approve_kinds != 0) {
        tl_buf_add_text(out, "#tally approve");
        for (unsigned kind = TL_LEAF_GENESIS; kind <= TL_LEAF_RESTORE; kind++) {
            if ((trust->approve_kinds >> (kind - TL_LEAF_GENESIS) & 1) != 0) {
                tl_buf_addf(out, " %s", tl_leaf_kind_name((enum tl_leaf_kind)kind));
            }
        }
        tl_buf_add_char(out, '\n');
    }
}

bool tl_trust_quorum_holds(const struct tl_trust *trust, uint64_t witness_bits)
{
    uint64_t group_bits = 0;
    if (!trust->has_quorum) {
        return true;
    }
    /* A group names only groups before it. */
    for (uint32_t i = 0; i < trust->group_count; i++) {
        const struct tl_trust_group *group = &trust->groups[i];
        uint32_t held = 0;
        for (uint32_t j = 0; j < group->member_count; j++) {
            uint8_t member = group->members[j];
            uint64_t bits = member < GROUP_BIT ? witness_bits : group_bits;
            held += (uint32_t)(bits >> (member % GROUP_BIT) & 1);
        }
        group_bits |= (uint64_t)(held >= group->threshold) << i;
    }
    uint64_t bits = trust->quorum < GROUP_BIT ? witness_bits : group_bits;
    return (bits >> (trust->quorum % GROUP_BIT) & 1) != 0;
}
