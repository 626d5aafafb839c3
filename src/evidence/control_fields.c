#include "evidence/control_fields.h"

#define AT(member) offsetof(struct tl_control, member)

#define GENESIS TL_FORM(TL_LEAF_GENESIS)
#define EPOCH   TL_FORM(TL_LEAF_EPOCH)
#define POLICY  TL_FORM(TL_LEAF_POLICY)
#define PURGE   TL_FORM(TL_LEAF_PURGE)
#define ERASE   TL_FORM(TL_LEAF_ERASE)
#define HOLD    TL_FORM(TL_LEAF_HOLD)
#define RELEASE TL_FORM(TL_LEAF_RELEASE)
#define KEY     TL_FORM(TL_LEAF_KEY)
#define ANCHOR  TL_FORM(TL_LEAF_ANCHOR)
#define GAP     TL_FORM(TL_LEAF_GAP)
#define RESUME  TL_FORM(TL_LEAF_RESUME)
#define RESTORE TL_FORM(TL_LEAF_RESTORE)

/* clang-format off: a table reads better as one */
const struct tl_field tl_control_fields[TL_FIELD_COUNT] = {
    { "approval", TL_FIELD_TEXT, 0, TL_FORM_ALL, AT(approval), 0 },
    { "basis", TL_FIELD_TEXT, ERASE, HOLD, AT(basis), 0 },
    { "before_seq", TL_FIELD_U64, PURGE, 0, AT(before_seq), 0 },
    { "by", TL_FIELD_TEXT, 0, TL_FORM_ALL, AT(by), 0 },
    { "classes", TL_FIELD_CLASSES, GENESIS | POLICY, 0, AT(policy), 0 },
    { "clean", TL_FIELD_BOOL, RESUME, 0, AT(clean), 0 },
    { "count", TL_FIELD_U64, PURGE | TL_FORM_OVERRIDE | GAP, 0, AT(count), 0 },
    { "cutoff_day", TL_FIELD_U32, PURGE, 0, AT(cutoff_day), 0 },
    { "digest", TL_FIELD_HEX, ANCHOR, 0, AT(digest), 0 },
    { "epoch_key", TL_FIELD_VKEY, GENESIS | EPOCH | RESTORE, 0, AT(epoch_key), AT(has_epoch_key) },
    { "epoch_seconds", TL_FIELD_U32, GENESIS, 0, AT(epoch_seconds), 0 },
    { "erasable", TL_FIELD_ERASABLE, GENESIS | POLICY, 0, AT(policy), 0 },
    { "exact", TL_FIELD_BOOL, GAP, 0, AT(exact), 0 },
    { "from", TL_FIELD_U32, EPOCH, 0, AT(epoch_from), 0 },
    { "from", TL_FIELD_TIME, GAP, 0, AT(from_us), 0 },
    { "from_origin", TL_FIELD_TEXT, RESTORE, 0, AT(from_origin), 0 },
    { "from_root", TL_FIELD_BASE64, RESTORE, 0, AT(root), 0 },
    { "from_size", TL_FIELD_U64, RESTORE, 0, AT(size), 0 },
    { "hold", TL_FIELD_TEXT, HOLD | RELEASE, 0, AT(hold), 0 },
    { "items", TL_FIELD_ITEMS, ERASE, 0, AT(items), 0 },
    { "kind", TL_FIELD_TEXT, ANCHOR, 0, AT(anchor_kind), 0 },
    { "log_key", TL_FIELD_VKEY, GENESIS | RESTORE, KEY, AT(log_key), AT(has_log_key) },
    { "lost_root", TL_FIELD_BASE64, 0, RESTORE, AT(lost_root), AT(has_lost_root) },
    { "lost_size", TL_FIELD_U64, RESTORE, 0, AT(lost_size), 0 },
    { "mac_id", TL_FIELD_HEX, GENESIS | RESTORE, KEY, AT(mac_id), AT(has_mac_id) },
    { "note", TL_FIELD_TEXT, 0, TL_FORM_ALL, AT(note), 0 },
    { "origin", TL_FIELD_TEXT, GENESIS | RESTORE, 0, AT(origin), 0 },
    { "override", TL_FIELD_TRUE, TL_FORM_OVERRIDE, 0, AT(override_days), 0 },
    { "policy", TL_FIELD_U64, GENESIS | POLICY, 0, AT(policy.number), 0 },
    { "ranges", TL_FIELD_RANGES, TL_FORM_OVERRIDE | HOLD, 0, AT(ranges), 0 },
    { "reason", TL_FIELD_TEXT, GAP | RESTORE, 0, AT(reason), 0 },
    { "ref", TL_FIELD_TEXT, ANCHOR, 0, AT(ref), 0 },
    { "root", TL_FIELD_BASE64, ANCHOR, 0, AT(root), 0 },
    { "size", TL_FIELD_U64, ANCHOR | RESUME, 0, AT(size), 0 },
    { "source", TL_FIELD_TEXT, 0, GAP, AT(source), 0 },
    { "start", TL_FIELD_TIME, GENESIS, 0, AT(start_us), 0 },
    { "tail_bytes", TL_FIELD_U64, RESUME, 0, AT(tail_bytes), 0 },
    { "tail_sha256", TL_FIELD_HEX, 0, RESUME, AT(tail_sha256), AT(has_tail_sha256) },
    { "ticket", TL_FIELD_TEXT, 0, ERASE, AT(ticket), 0 },
    { "to", TL_FIELD_U32, EPOCH, 0, AT(epoch_to), 0 },
    { "to", TL_FIELD_TIME, GAP, 0, AT(to_us), 0 },
    { "v", TL_FIELD_ONE, GENESIS, 0, 0, 0 },
    { "volatile", TL_FIELD_TRUE, 0, GENESIS, AT(is_volatile), AT(is_volatile) },
};
/* clang-format on */
