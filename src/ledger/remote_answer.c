#include "ledger/remote_answer.h"

#include "base/bytes.h"
#include "base/parse.h"
#include "codec/json.h"
#include "codec/time.h"

#define ARENA_BYTES ((size_t)64 << 20)

/* Receipts are flat, and no more of them are wanted than events were sent. */
static const struct tl_json_limits limits = { .bytes_max = (size_t)8 << 20,
                                              .depth_max = 8,
                                              .members_max = 64,
                                              .elements_max = TL_REMOTE_BATCH,
                                              .keep_integers = true,
                                              .keep_floats = true };

static const struct tl_json *member(const struct tl_json *object, const char *name,
                                    enum tl_json_type type)
{
    const struct tl_json *found = tl_json_member(object, name);
    return found != NULL && found->type == type ? found : NULL;
}

static bool read_u64(const struct tl_json *object, const char *name, uint64_t max, uint64_t *out)
{
    const struct tl_json *number = member(object, name, TL_JSON_NUMBER);
    return number != NULL &&
           tl_parse_u64(number->text.text, number->text.len, max, out) == TALLY_OK;
}

static bool read_receipt(const struct tl_json *from, struct tally_receipt *receipt)
{
    const struct tl_json *id = member(from, "id", TL_JSON_STRING);
    const struct tl_json *level = member(from, "level", TL_JSON_STRING);
    const struct tl_json *time = member(from, "recorded_at", TL_JSON_STRING);
    const struct tl_json *leaf = member(from, "leaf_hash", TL_JSON_STRING);
    bool is_known = member(from, "duplicate", TL_JSON_TRUE) != NULL;
    if (id == NULL || level == NULL || time == NULL || leaf == NULL ||
        !tl_str_is(id->text, receipt->id) || !tl_str_is(level->text, "RECORDED") ||
        !read_u64(from, "seq", UINT64_MAX - 1, &receipt->seq) ||
        tl_time_parse(&receipt->recorded_us, time->text) != TALLY_OK ||
        tl_hex_decode(receipt->leaf_hash, sizeof(receipt->leaf_hash), leaf->text.text,
                      leaf->text.len) != TALLY_OK) {
        return false;
    }
    receipt->status = TALLY_OK;
    receipt->level = TALLY_LEVEL_RECORDED;
    receipt->flags |= is_known ? (uint32_t)TALLY_RECEIPT_DUPLICATE : 0u;
    return true;
}

tally_status tl_remote_read_receipts(struct tl_str text, struct tally_receipt *const *receipts,
                                     size_t count, struct tally_error *err)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    const struct tl_json *root = NULL;
    tl_arena_init(&arena, ARENA_BYTES);
    tally_status status = tl_json_read(&arena, text.text, text.len, &limits, &root, NULL);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate receipts");
    }
    const struct tl_json *list =
        status == TALLY_OK ? member(root, "receipts", TL_JSON_ARRAY) : NULL;
    bool fits = list != NULL && list->count == count;
    const struct tl_json *at = fits ? list->first : NULL;
    for (size_t i = 0; i < count && fits; i++, at = at->next) {
        fits = read_receipt(at, receipts[i]);
    }
    return fits ? TALLY_OK
                : tl_fail(err, TALLY_ECORRUPT,
                          "the server answers with something that is no receipt for what was sent");
}

/* A code is shown to people and written to files: it has to look like one. */
static bool read_code(const struct tl_json *from, char out[TL_REMOTE_CODE_SIZE])
{
    const struct tl_json *code = member(from, "code", TL_JSON_STRING);
    if (code == NULL || code->text.len == 0 || code->text.len >= TL_REMOTE_CODE_SIZE) {
        return false;
    }
    for (size_t i = 0; i < code->text.len; i++) {
        char c = code->text.text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.')) {
            return false;
        }
    }
    tl_str_copy(out, TL_REMOTE_CODE_SIZE, code->text);
    return true;
}

void tl_remote_read_problem(struct tl_str text, size_t count, struct tl_remote_problem *out)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    const struct tl_json *root = NULL;
    tl_assert(count <= TL_REMOTE_BATCH);
    memset(out, 0, sizeof(*out));
    tl_arena_init(&arena, ARENA_BYTES);
    if (tl_json_read(&arena, text.text, text.len, &limits, &root, NULL) != TALLY_OK ||
        !read_code(root, out->code)) {
        return;
    }
    const struct tl_json *errors = member(root, "errors", TL_JSON_ARRAY);
    const struct tl_json *at = errors == NULL ? NULL : errors->first;
    for (; at != NULL; at = at->next) {
        uint64_t index = 0;
        char code[TL_REMOTE_CODE_SIZE] = "";
        if (count == 0 || !read_u64(at, "index", count - 1, &index) || !read_code(at, code)) {
            continue;
        }
        out->named += out->codes[index][0] == '\0' ? 1 : 0;
        memcpy(out->codes[index], code, sizeof(code));
    }
}
