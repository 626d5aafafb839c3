/* The names that lead into an event, and the rules of its places: data. */
#include "base/limits.h"
#include "model/event_draft.h"

const struct tl_place_rule tl_place_rules[TL_PLACE_COUNT] = {
    [TL_PLACE_ACTION] = { "action", TL_KIND_ACTION, 256 },
    [TL_PLACE_ACTOR_ID] = { "actor.id", TL_KIND_TEXT, 1024 },
    [TL_PLACE_ACTOR_NAME] = { "actor.name", TL_KIND_TEXT, 1024 },
    [TL_PLACE_ACTOR_TYPE] = { "actor.type", TL_KIND_TEXT, 64 },
    [TL_PLACE_CAUSATION_ID] = { "causation_id", TL_KIND_TEXT, 256 },
    [TL_PLACE_CORRELATION_ID] = { "correlation_id", TL_KIND_TEXT, 256 },
    [TL_PLACE_ENDED_AT] = { "ended_at", TL_KIND_TIME, 0 },
    [TL_PLACE_ID] = { "id", TL_KIND_ID, 128 },
    [TL_PLACE_OCCURRED_AT] = { "occurred_at", TL_KIND_TIME, 0 },
    [TL_PLACE_OUTCOME] = { "outcome", TL_KIND_OUTCOME, 0 },
    [TL_PLACE_REASON] = { "reason", TL_KIND_TEXT, 4096 },
    [TL_PLACE_REQUEST_ID] = { "request_id", TL_KIND_TEXT, 256 },
    [TL_PLACE_SESSION_ID] = { "session_id", TL_KIND_TEXT, 256 },
    [TL_PLACE_SEVERITY] = { "severity", TL_KIND_SEVERITY, 0 },
    [TL_PLACE_HOST] = { "source.host", TL_KIND_TEXT, 255 },
    [TL_PLACE_IP] = { "source.ip", TL_KIND_IP, 0 },
    [TL_PLACE_SERVICE] = { "source.service", TL_KIND_TEXT, 256 },
    [TL_PLACE_USER_AGENT] = { "source.user_agent", TL_KIND_TEXT, 2048 },
    [TL_PLACE_SPAN_ID] = { "span_id", TL_KIND_HEX, 16 },
    [TL_PLACE_STARTED_AT] = { "started_at", TL_KIND_TIME, 0 },
    [TL_PLACE_TARGET_ID] = { "a target's id", TL_KIND_TEXT, 1024 },
    [TL_PLACE_TARGET_NAME] = { "a target's name", TL_KIND_TEXT, 1024 },
    [TL_PLACE_TARGET_TYPE] = { "a target's type", TL_KIND_TEXT, 128 },
    [TL_PLACE_TENANT_ID] = { "tenant_id", TL_KIND_TEXT, 256 },
    [TL_PLACE_TRACE_ID] = { "trace_id", TL_KIND_HEX, 32 },
    [TL_PLACE_TRANSPORT] = { "transport", TL_KIND_TEXT, 64 },
};

/* clang-format off */
#define NAME(text, kind, arg)   { { (text), sizeof(text) - 1 }, (kind), (arg), false }
#define NAME_M(text, kind, arg) { { (text), sizeof(text) - 1 }, (kind), (arg), true }

static const struct tl_event_name names[] = {
    { { NULL, 0 }, TL_NAME_UNKNOWN, 0, false },
    NAME("action", TL_NAME_TEXT, TL_PLACE_ACTION),
    NAME("actor", TL_NAME_ACTOR, 0),
    NAME("causation_id", TL_NAME_TEXT, TL_PLACE_CAUSATION_ID),
    NAME("correlation_id", TL_NAME_TEXT, TL_PLACE_CORRELATION_ID),
    NAME("ended_at", TL_NAME_TEXT, TL_PLACE_ENDED_AT),
    NAME("id", TL_NAME_TEXT, TL_PLACE_ID),
    NAME("metadata", TL_NAME_FREE, TL_FREE_METADATA),
    NAME("new_values", TL_NAME_FREE, TL_FREE_NEW_VALUES),
    NAME("occurred_at", TL_NAME_TEXT, TL_PLACE_OCCURRED_AT),
    NAME("old_values", TL_NAME_FREE, TL_FREE_OLD_VALUES),
    NAME("outcome", TL_NAME_TEXT, TL_PLACE_OUTCOME),
    NAME("reason", TL_NAME_TEXT, TL_PLACE_REASON),
    NAME("request", TL_NAME_FREE, TL_FREE_REQUEST),
    NAME("request_id", TL_NAME_TEXT, TL_PLACE_REQUEST_ID),
    NAME("response", TL_NAME_FREE, TL_FREE_RESPONSE),
    NAME("session_id", TL_NAME_TEXT, TL_PLACE_SESSION_ID),
    NAME("severity", TL_NAME_TEXT, TL_PLACE_SEVERITY),
    NAME("source", TL_NAME_SOURCE, 0),
    NAME("span_id", TL_NAME_TEXT, TL_PLACE_SPAN_ID),
    NAME("started_at", TL_NAME_TEXT, TL_PLACE_STARTED_AT),
    NAME("tags", TL_NAME_TAGS, 0),
    NAME("targets", TL_NAME_TARGETS, 0),
    NAME("tenant_id", TL_NAME_TEXT, TL_PLACE_TENANT_ID),
    NAME("trace_id", TL_NAME_TEXT, TL_PLACE_TRACE_ID),
    NAME("transport", TL_NAME_TEXT, TL_PLACE_TRANSPORT),
    /* Aliases. */
    NAME("actor_id", TL_NAME_TEXT, TL_PLACE_ACTOR_ID),
    NAME("actor_name", TL_NAME_TEXT, TL_PLACE_ACTOR_NAME),
    NAME("actor_type", TL_NAME_TEXT, TL_PLACE_ACTOR_TYPE),
    NAME("bank_id", TL_NAME_BANK, 0),
    NAME("changed_at", TL_NAME_TEXT, TL_PLACE_OCCURRED_AT),
    NAME("changed_by", TL_NAME_TEXT, TL_PLACE_ACTOR_ID),
    NAME("changes", TL_NAME_CHANGES, 0),
    NAME("checksum", TL_NAME_STORED, 0),
    NAME("command_payload_hash", TL_NAME_HASH, 0),
    NAME("created_at", TL_NAME_STORED, 0),
    NAME("diff", TL_NAME_CHANGES, 1),
    NAME_M("doctype", TL_NAME_TEXT, TL_PLACE_TARGET_TYPE),
    NAME_M("doctype_name", TL_NAME_TEXT, TL_PLACE_TARGET_TYPE),
    NAME_M("document_id", TL_NAME_KEY, TL_PLACE_TARGET_ID),
    NAME("duration_ms", TL_NAME_DURATION, 0),
    NAME("entity_id", TL_NAME_KEY, TL_PLACE_TARGET_ID),
    NAME("entry_schema_version", TL_NAME_STORED, 0),
    NAME("ip", TL_NAME_TEXT, TL_PLACE_IP),
    NAME("job_id", TL_NAME_NOTE, 0),
    NAME("payload_size_bytes", TL_NAME_NOTE, 0),
    NAME("resource", TL_NAME_TARGET, 0),
    NAME("resource_id", TL_NAME_KEY, TL_PLACE_TARGET_ID),
    NAME("resource_type", TL_NAME_TEXT, TL_PLACE_TARGET_TYPE),
    NAME("table_name", TL_NAME_TEXT, TL_PLACE_TARGET_TYPE),
    NAME("target", TL_NAME_TARGET, 0),
    NAME("timestamp", TL_NAME_TEXT, TL_PLACE_OCCURRED_AT),
    NAME("user_agent", TL_NAME_TEXT, TL_PLACE_USER_AGENT),
    NAME("user_id", TL_NAME_USER, TL_PLACE_ACTOR_ID),
};
/* clang-format on */

_Static_assert(TL_ARRAY_LEN(names) < TL_EVENT_NAME_SLOTS / 2, "searches must end soon");

/* Names differ in their length and a few letters; that is hash enough for so few. */
static size_t slot_of(struct tl_str name)
{
    if (name.len == 0) {
        return 0;
    }
    const unsigned char *text = (const unsigned char *)name.text;
    size_t sum = name.len * 37 + text[0] * (size_t)5 + text[name.len / 2] * (size_t)11 +
                 text[name.len - 1] * (size_t)23;
    return sum % TL_EVENT_NAME_SLOTS;
}

void tl_event_names_index(struct tl_event_reader *reader)
{
    for (size_t i = 1; i < TL_ARRAY_LEN(names); i++) {
        size_t slot = slot_of(names[i].name);
        while (reader->names[slot] != 0) {
            slot = (slot + 1) % TL_EVENT_NAME_SLOTS;
        }
        reader->names[slot] = (uint8_t)i;
    }
}

const struct tl_event_name *tl_event_name_find(const struct tl_event_reader *reader,
                                               struct tl_str name)
{
    size_t slot = slot_of(name);
    while (reader->names[slot] != 0) {
        const struct tl_event_name *found = &names[reader->names[slot]];
        if (tl_str_equal(found->name, name)) {
            return found;
        }
        slot = (slot + 1) % TL_EVENT_NAME_SLOTS;
    }
    return &names[0];
}
