/*
 * A configuration, a line "---" and an event: a policy that is accepted says what it is in canonical
 * text, and doing what it says to an event gives canonical text to which it need not be done again.
 * Without the line, the event is one with a bit of everything.
 */
#include "base/limits.h"
#include "codec/json.h"
#include "crypto/crypto.h"
#include "fuzz.h"
#include "model/config.h"

#define EVENT_BYTES_MAX ((size_t)64 << 10)

static const struct tl_event_rules rules = { .bytes_max = EVENT_BYTES_MAX };
static const char sample[] =
    "{\"action\":\"user.login\",\"id\":\"e\",\"occurred_at\":\"2026-01-01T00:00:00Z\","
    "\"reason\":\"aab <redacted>\",\"tenant_id\":\"t\",\"metadata\":{\"tally_policy\":1,"
    "\"Token\":[1],\"a\":[\"0123456789012345678901234567890123456789012345678901234567890123456\"]}"
    ","
    "\"old_values\":{\"\\u017fecret\":{},\"b\":\"ann@example.org\"}}";

/* Puts one separate from the other: what comes after a line "---". */
static struct tl_str split_event(struct tl_str *text)
{
    for (size_t i = 0; i + 5 <= text->len; i++) {
        if (memcmp(text->text + i, "\n---\n", 5) == 0) {
            struct tl_str event = { text->text + i + 5, text->len - i - 5 };
            text->len = i;
            return event;
        }
    }
    return TL_STR(sample);
}

static bool apply(const struct tl_config *config, struct tl_str event, struct tl_buf *out,
                  bool *settled_out)
{
    static const uint8_t fresh[16] = { 1, 2, 3 };
    struct tl_event_reader reader;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    struct tl_event_input input = {
        .json = event.text, .len = event.len, .random = fresh, .policy = config->policy
    };
    uint32_t notes = 0;
    tally_status status = tl_event_canonical(&reader, &input, out, &notes, NULL);
    tl_assert(status == TALLY_OK || status == TALLY_EREFUSED || status == TALLY_EDISABLED);
    tl_assert(status != TALLY_EDISABLED || !reader.decision.allowed);
    *settled_out = reader.decision.severity.text == NULL;
    tl_event_reader_release(&reader);
    return status == TALLY_OK;
}

static void check_event(const struct tl_config *config, struct tl_str event)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf once = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf twice = { 0 };
    tl_buf_init(&once, EVENT_BYTES_MAX);
    tl_buf_init(&twice, EVENT_BYTES_MAX);
    /* A rule may give it a severity to which another rule applies. */
    bool settled = false;
    if (apply(config, event, &once, &settled) && settled) {
        tl_assert(apply(config, tl_buf_str(&once), &twice, &settled));
        tl_assert(!tl_log_policy_allows_nothing(config->policy));
        tl_assert(tl_json_check_canonical(once.data, once.len, NULL) == TALLY_OK);
        tl_assert(tl_str_equal(tl_buf_str(&once), tl_buf_str(&twice)));
    }
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_str text = { .text = len == 0 ? "" : (const char *)data, .len = len };
    struct tl_str event = split_event(&text);
    struct tl_config config;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_config_read(&config, "f", text, NULL, 0, &err) != TALLY_OK) {
        tl_assert(err.status == TALLY_EINVAL && err.message[0] != '\0');
        return false;
    }
    struct tl_str policy = tl_log_policy_text(config.policy);
    tl_assert(tl_json_check_canonical(policy.text, policy.len, NULL) == TALLY_OK);
    check_event(&config, event);
    tl_config_release(&config);
    return true;
}
