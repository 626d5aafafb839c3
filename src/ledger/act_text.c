#include "ledger/act_text.h"

#include <tally/store.h>

#include "base/parse.h"
#include "codec/json.h"

#define SEQ_MAX UINT64_C(9007199254740991) /* largest integer of the format */

static const struct {
    tally_status status;
    const char *code;
    const char *message;
} refusals[TL_ACT_REFUSALS] = {
    [TL_ACT_OVERTAKEN] = { TALLY_ECONFLICT, "act_overtaken",
                           "another act was recorded meanwhile; look again, and repeat it" },
    [TL_ACT_HOLD_UNKNOWN] = { TALLY_ENOTFOUND, "hold_unknown",
                              "there is no such hold, or it was released already" },
    [TL_ACT_HOLD_RELEASED] = { TALLY_ECONFLICT, "hold_released",
                               "the hold was released, and its id is never used again; take "
                               "another" },
    [TL_ACT_BEYOND] = { TALLY_EINVAL, "act_beyond", "it names records that are not there yet" },
    [TL_ACT_TOO_EARLY] = { TALLY_EINVAL, "act_too_early",
                           "it is up to a day that has not come by the ledger's own time" },
    [TL_ACT_TOO_MANY] = { TALLY_ELIMIT, "act_too_many",
                          "the ledger has more holds, purges and erasures than can be kept in "
                          "mind; "
                          "use wider ranges" },
    [TL_ACT_WRONG_ROOT] = { TALLY_EINVAL, "act_wrong_root",
                            "the root is not that of this ledger at this size" },
    [TL_ACT_STALE] = { TALLY_ECONFLICT, "act_stale",
                       "it lay in the spool for too long; look again, and repeat it" },
    [TL_ACT_CONFIGURATION] = { TALLY_EINVAL, "act_configuration",
                               "the configuration has an error: 'tally config' names it" },
};

tally_status tl_act_refuse(enum tl_act_refusal reason, struct tally_error *err)
{
    tl_assert(reason > TL_ACT_FINE && reason < TL_ACT_REFUSALS);
    return tl_fail_code(err, refusals[reason].status, refusals[reason].code, "%s",
                        refusals[reason].message);
}

const char *tl_act_refusal_code(enum tl_act_refusal reason)
{
    return refusals[reason].code;
}

enum tl_act_refusal tl_act_refusal_of(const struct tally_error *error)
{
    for (enum tl_act_refusal reason = 1; reason < TL_ACT_REFUSALS; reason++) {
        if (strcmp(error->code, refusals[reason].code) == 0) {
            return reason;
        }
    }
    return TL_ACT_FINE;
}

bool tl_act_is_wish(enum tl_leaf_kind kind)
{
    return kind == TL_LEAF_KEY || kind == TL_LEAF_EPOCH || kind == TL_LEAF_POLICY;
}

static void write_text(struct tl_buf *out, const char *name, struct tl_str text)
{
    if (text.text != NULL) {
        tl_buf_addf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
        tl_json_write_string(out, text);
    }
}

static void write_wish(struct tl_buf *out, const struct tl_control *control)
{
    tl_buf_add_char(out, '{');
    if (tl_buf_status(out) != TALLY_OK) {
        return;
    }
    write_text(out, "approval", control->approval);
    write_text(out, "by", control->by);
    if (control->has_log_key) {
        tl_buf_addf(out, "%s\"log_key\":true", out->data[out->len - 1] == '{' ? "" : ",");
    }
    if (control->has_mac_id) {
        tl_buf_addf(out, "%s\"mac_id\":true", out->data[out->len - 1] == '{' ? "" : ",");
    }
    write_text(out, "note", control->note);
    tl_buf_add_char(out, '}');
}

tally_status tl_act_encode(struct tl_buf *out, const struct tl_act_request *act,
                           struct tally_error *err)
{
    tl_buf_addf(out, "{\"kind\":\"%s\",\"newest\":", tl_leaf_kind_name(act->control->kind));
    if (act->newest == TALLY_SEQ_NONE) {
        tl_buf_add_text(out, "null");
    } else {
        tl_buf_add_u64(out, act->newest);
    }
    tl_buf_add_text(out, ",\"payload\":");
    if (tl_act_is_wish(act->control->kind)) {
        write_wish(out, act->control);
    } else {
        TL_TRY(tl_control_format(out, act->control, err));
    }
    tl_buf_add_char(out, '}');
    tally_status status = tl_buf_status(out);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot write the act");
}

tally_status tl_act_check(const struct tl_act_request *act, struct tally_error *err)
{
    enum tl_leaf_kind kind = act->control->kind;
    if (!tl_leaf_is_act(kind) && kind != TL_LEAF_EPOCH) {
        return tl_fail(err, TALLY_EINVAL, "%s is no act", tl_leaf_kind_name(kind));
    }
    if (kind == TL_LEAF_RESTORE) {
        return tl_fail(err, TALLY_EINVAL, "a ledger in use cannot be restored");
    }
    if (kind == TL_LEAF_KEY && !act->control->has_log_key && !act->control->has_mac_id) {
        return tl_fail(err, TALLY_EINVAL, "name the key that is to be replaced");
    }
    struct tl_buf text;
    tl_buf_init(&text, 2 * (size_t)TL_LEAF_PAYLOAD_MAX);
    tally_status status = tl_act_encode(&text, act, err);
    tl_buf_release(&text);
    return status;
}

static bool read_kind(enum tl_leaf_kind *kind_out, const struct tl_json *value)
{
    for (unsigned kind = TL_LEAF_EPOCH; kind < TL_LEAF_RESTORE; kind++) {
        enum tl_leaf_kind candidate = (enum tl_leaf_kind)kind;
        if ((tl_leaf_is_act(candidate) || candidate == TL_LEAF_EPOCH) &&
            tl_str_is(value->text, tl_leaf_kind_name(candidate))) {
            *kind_out = candidate;
            return true;
        }
    }
    return false;
}

static bool read_newest(uint64_t *newest_out, const struct tl_json *value)
{
    if (value->type == TL_JSON_NULL) {
        *newest_out = TALLY_SEQ_NONE;
        return true;
    }
    return value->type == TL_JSON_NUMBER &&
           tl_parse_u64(value->text.text, value->text.len, SEQ_MAX, newest_out) == TALLY_OK;
}

static bool read_flag(bool *flag, const struct tl_json *member)
{
    *flag = true;
    return member->type == TL_JSON_TRUE;
}

static bool read_text(struct tl_str *text, const struct tl_json *member)
{
    *text = member->text;
    return member->type == TL_JSON_STRING && member->text.len > 0;
}

static bool read_wish(struct tl_control *out, const struct tl_json *payload)
{
    bool good = payload->type == TL_JSON_OBJECT;
    for (const struct tl_json *it = payload->first; good && it != NULL; it = it->next) {
        bool is_key = out->kind == TL_LEAF_KEY;
        if (tl_str_is(it->key, "approval")) {
            good = read_text(&out->approval, it);
        } else if (tl_str_is(it->key, "by")) {
            good = read_text(&out->by, it);
        } else if (tl_str_is(it->key, "note")) {
            good = read_text(&out->note, it);
        } else if (is_key && tl_str_is(it->key, "log_key")) {
            good = read_flag(&out->has_log_key, it);
        } else {
            good = is_key && tl_str_is(it->key, "mac_id") && read_flag(&out->has_mac_id, it);
        }
    }
    return good && (out->kind != TL_LEAF_KEY || out->has_log_key || out->has_mac_id);
}

tally_status tl_act_decode(struct tl_control *control_out, uint64_t *newest_out,
                           struct tl_arena *arena, const char *text, size_t len)
{
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(arena, text, len, &tl_json_limits_format, &root, NULL);
    if (status != TALLY_OK) {
        return status == TALLY_ENOMEM ? status : TALLY_ECORRUPT;
    }
    const struct tl_json *kind = tl_json_member(root, "kind");
    const struct tl_json *newest = tl_json_member(root, "newest");
    const struct tl_json *payload = tl_json_member(root, "payload");
    *control_out = (struct tl_control){ 0 };
    if (kind == NULL || kind->type != TL_JSON_STRING || newest == NULL || payload == NULL ||
        root->count != 3 || !read_kind(&control_out->kind, kind) ||
        !read_newest(newest_out, newest)) {
        return TALLY_ECORRUPT;
    }
    if (tl_act_is_wish(control_out->kind)) {
        return read_wish(control_out, payload) ? TALLY_OK : TALLY_ECORRUPT;
    }
    return tl_control_parse(control_out, arena, control_out->kind, text + payload->offset,
                            payload->end - payload->offset, NULL);
}
