/* What the values of a control payload must be, whether they were read or are to be written. */
#include "base/parse.h"
#include "evidence/control.h"

#define EPOCH_SECONDS_MIN 60u
#define EPOCH_SECONDS_MAX 86400u
#define DAYS_MAX          36500
#define EPOCH_INFIX       "/epoch/"

const struct tl_class *tl_policy_class(const struct tl_policy *policy, uint16_t id)
{
    for (uint32_t i = 0; i < policy->class_count; i++) {
        if (policy->classes[i].id == id) {
            return &policy->classes[i];
        }
    }
    return NULL;
}

static bool is_log_key(const struct tl_vkey *key)
{
    return key->type == TL_NOTE_TYPE_ED25519 && tl_origin_is_valid(tl_str_of(key->name));
}

static bool is_epoch_key(const struct tl_vkey *key)
{
    return key->type == TL_NOTE_TYPE_COSIGNED;
}

/* Whether the name is "<origin>/epoch/<n>", and which these are. */
static bool split_epoch_name(const struct tl_vkey *key, struct tl_str *origin_out,
                             uint64_t *epoch_out)
{
    struct tl_str name = tl_str_of(key->name);
    struct tl_str infix = TL_STR(EPOCH_INFIX);
    size_t digits = 0;
    while (digits < name.len && name.text[name.len - digits - 1] != '/') {
        digits++;
    }
    if (!is_epoch_key(key) || name.len < digits + infix.len) {
        return false;
    }
    *origin_out = (struct tl_str){ .text = name.text, .len = name.len - digits - infix.len };
    return memcmp(name.text + origin_out->len, infix.text, infix.len) == 0 &&
           tl_origin_is_valid(*origin_out) &&
           tl_parse_u64(name.text + name.len - digits, digits, UINT32_MAX, epoch_out) == TALLY_OK;
}

/* The keys that start an incarnation. */
static const char *find_key_fault(const struct tl_control *control)
{
    if (!tl_origin_is_valid(control->origin)) {
        return "'origin' is none";
    }
    if (control->log_key.type != TL_NOTE_TYPE_ED25519 ||
        !tl_str_is(control->origin, control->log_key.name)) {
        return "'log_key' is no key of this origin";
    }
    return is_epoch_key(&control->epoch_key) ? NULL : "'epoch_key' is no epoch key";
}

static const char *find_policy_fault(const struct tl_policy *policy)
{
    if (policy->erasable == NULL) {
        return "'erasable' is missing";
    }
    if (policy->class_count == 0) {
        return "'classes' is empty";
    }
    for (uint32_t i = 0; i < policy->class_count; i++) {
        const struct tl_class *class = &policy->classes[i];
        if (class->id <= (i == 0 ? 0 : class[-1].id)) { /* 0 is that of control leaves */
            return "'classes' has numbers that do not ascend from 1";
        }
        if (class->days < -1 || class->days > DAYS_MAX) {
            return "'classes' has days that are not -1 to 36500";
        }
    }
    return NULL;
}

static bool ranges_are_valid(const struct tl_range *ranges, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].first > ranges[i].last || (i > 0 && ranges[i].first <= ranges[i - 1].last)) {
            return false;
        }
    }
    return count > 0;
}

static bool pointers_are_valid(const struct tl_str *pointers, uint32_t count)
{
    if (count == 1 && pointers[0].len == 0) {
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tl_pointer pointer;
        if (tl_pointer_parse(&pointer, pointers[i], NULL) != TALLY_OK ||
            (i > 0 && tl_str_compare(pointers[i - 1], pointers[i]) >= 0)) {
            return false;
        }
    }
    return count > 0;
}

static const char *find_genesis_fault(const struct tl_control *control)
{
    if (control->epoch_seconds < EPOCH_SECONDS_MIN || control->epoch_seconds > EPOCH_SECONDS_MAX) {
        return "'epoch_seconds' is not 60 to 86400";
    }
    if (control->start_us < 0 || control->start_us % 1000000 != 0) {
        return "'start' is no whole second since 1970";
    }
    if (control->policy.number != 1) {
        return "'policy' is not 1";
    }
    const char *fault = find_key_fault(control);
    return fault != NULL ? fault : find_policy_fault(&control->policy);
}

static const char *find_purge_fault(const struct tl_control *control)
{
    if (control->override_days) {
        return ranges_are_valid(control->ranges, control->range_count) ? NULL
                                                                       : "'ranges' do not ascend";
    }
    return control->cutoff_day == TL_RETAIN_FOREVER ? "'cutoff_day' is none" : NULL;
}

static const char *find_erase_fault(const struct tl_control *control)
{
    for (uint32_t i = 0; i < control->item_count; i++) {
        const struct tl_erase_item *item = &control->items[i];
        if (!pointers_are_valid(item->pointers, item->pointer_count)) {
            return "'items' has pointers that are malformed or not sorted";
        }
        if (!ranges_are_valid(item->seqs, item->seq_count)) {
            return "'items' has seqs that do not ascend";
        }
    }
    return control->item_count == 0 ? "'items' is empty" : NULL;
}

static const char *find_anchor_fault(const struct tl_control *control)
{
    static const char *const kinds[] = { "rfc3161", "ots", "git", "object", "ledger", "paper" };
    bool known = false;
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        known = known || tl_str_is(control->anchor_kind, kinds[i]);
    }
    if (!known) {
        return "'kind' is unknown";
    }
    return control->size == 0 ? "'size' is 0" : NULL;
}

static const char *find_restore_fault(const struct tl_control *control)
{
    const char *fault = find_key_fault(control);
    if (fault != NULL) {
        return fault;
    }
    if (!tl_origin_is_valid(control->from_origin) ||
        tl_str_equal(control->from_origin, control->origin)) {
        return "'from_origin' is no other origin";
    }
    if (control->size == 0 || control->lost_size < control->size) {
        return "'lost_size' is below 'from_size', or that is 0";
    }
    return NULL;
}

const char *tl_control_fault(const struct tl_control *control)
{
    switch (control->kind) {
    case TL_LEAF_ENTRY:
        return "an entry has no payload";
    case TL_LEAF_GENESIS:
        return find_genesis_fault(control);
    case TL_LEAF_EPOCH:
        return is_epoch_key(&control->epoch_key) ? NULL : "'epoch_key' is no epoch key";
    case TL_LEAF_POLICY:
        return control->policy.number < 2 ? "'policy' is not above 1"
                                          : find_policy_fault(&control->policy);
    case TL_LEAF_PURGE:
        return find_purge_fault(control);
    case TL_LEAF_ERASE:
        return find_erase_fault(control);
    case TL_LEAF_HOLD:
        return ranges_are_valid(control->ranges, control->range_count) ? NULL
                                                                       : "'ranges' do not ascend";
    case TL_LEAF_RELEASE:
        return NULL;
    case TL_LEAF_KEY:
        if (!control->has_log_key && !control->has_mac_id) {
            return "neither 'log_key' nor 'mac_id' is there";
        }
        return control->has_log_key && !is_log_key(&control->log_key) ? "'log_key' is none" : NULL;
    case TL_LEAF_ANCHOR:
        return find_anchor_fault(control);
    case TL_LEAF_GAP:
        return NULL;
    case TL_LEAF_RESUME:
        return control->size == 0 ? "'size' is 0" : NULL;
    case TL_LEAF_RESTORE:
        return find_restore_fault(control);
    }
    return "no such kind";
}

/* What an epoch key is called, and what it follows, is judged by whoever follows the epochs: there it
 * has a finding of its own. */
static const char *find_epoch_fault(const struct tl_control *control)
{
    struct tl_str origin;
    uint64_t epoch = 0;
    bool named = split_epoch_name(&control->epoch_key, &origin, &epoch);
    if (control->kind == TL_LEAF_EPOCH) {
        if (control->epoch_to <= control->epoch_from) {
            return "'to' is not after 'from'";
        }
        return named && epoch == control->epoch_to ? NULL : "'epoch_key' is no key of epoch 'to'";
    }
    return named && tl_str_equal(origin, control->origin)
               ? NULL
               : "'epoch_key' is no epoch key of this origin";
}

const char *tl_control_writing_fault(const struct tl_control *control)
{
    const char *fault = tl_control_fault(control);
    if (fault != NULL) {
        return fault;
    }
    if (control->kind == TL_LEAF_GENESIS || control->kind == TL_LEAF_EPOCH ||
        control->kind == TL_LEAF_RESTORE) {
        return find_epoch_fault(control);
    }
    if (control->kind == TL_LEAF_GAP) {
        if (control->from_us > control->to_us) {
            return "'from' is after 'to'";
        }
        return control->exact && control->count == 0 ? "'count' is 0" : NULL;
    }
    if (control->kind == TL_LEAF_RESUME && control->has_tail_sha256 != (control->tail_bytes > 0)) {
        return "'tail_sha256' does not go with 'tail_bytes'";
    }
    return NULL;
}
