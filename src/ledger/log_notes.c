/* What a logger records by itself: changes of its policy, and actions that no list names. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "codec/json.h"
#include "crypto/crypto.h"
#include "ledger/events.h"
#include "ledger/logger.h"

#define FLUSH_EVERY_US ((int64_t)3600 * 1000000)
#define NOTED_FILE     "policy.sha256"
#define POLICY_MEMBER  "\"sha256\":\""

/* `metadata` is a whole object. */
static void log_own(struct tally_logger *logger, const char *action, struct tl_buf *metadata,
                    enum tally_delivery delivery)
{
    struct tl_buf json = { 0 };
    struct tl_log_call call = { .own = true, .options = TALLY_LOG_OPTIONS_INIT };
    call.options.delivery = delivery;
    tl_buf_add_char(metadata, '\0');
    tally_status status = tl_buf_status(metadata);
    if (status == TALLY_OK) {
        status = tl_act_write(&json, logger->ledger, action, NULL, metadata->data);
    }
    call.json = json.data;
    call.len = json.len;
    if (status == TALLY_OK) {
        (void)tl_logger_log(logger, &call, NULL); /* a loss is counted and told there */
    } else {
        struct tally_error why = TALLY_ERROR_INIT;
        (void)tl_fail(&why, status, "cannot write an event of the logger's own");
        tl_logger_lose(logger, status, &why);
    }
    tl_buf_release(&json);
}

/* Of a remote ledger it is noted on this machine which policy was handed in last: its server may be
 * away, and programs begin all the same. */
static bool is_noted(const struct tl_paths *paths, const char *hex)
{
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    return tl_path_join(path, paths->dir, NOTED_FILE, NULL) == TALLY_OK &&
           tl_io_read_file(path, 64, &text, &len, NULL) == TALLY_OK && strcmp(text, hex) == 0;
}

/* What cannot be noted is handed in again. */
static void note(const struct tl_paths *paths, const char *hex)
{
    char path[TL_PATH_SIZE];
    if (tl_path_join(path, paths->dir, NOTED_FILE, NULL) == TALLY_OK) {
        (void)tl_io_replace_file(path, hex, strlen(hex), 0600, NULL);
    }
}

/* Whether the newest policy in the ledger is the one with this hash. What cannot be read is no
 * reason not to record it. */
static bool is_recorded(struct tally_logger *logger, const char *hex)
{
    if (logger->ledger->remote != NULL) {
        return is_noted(&logger->ledger->paths, hex);
    }
    const struct tally_condition conditions[] = { { "action", "tally.policy.change" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    query.limit = 1;
    struct tally_page *page = NULL;
    if (tally_find(logger->ledger, &query, &page, NULL) != TALLY_OK) {
        return false;
    }
    char wanted[sizeof(POLICY_MEMBER) + 64];
    memcpy(wanted, POLICY_MEMBER, sizeof(POLICY_MEMBER) - 1);
    memcpy(wanted + sizeof(POLICY_MEMBER) - 1, hex, 64);
    bool found = page->count == 1 && page->items[0].event != NULL &&
                 memmem(page->items[0].event, page->items[0].event_len, wanted,
                        sizeof(POLICY_MEMBER) - 1 + 64) != NULL;
    tally_page_free(page);
    return found;
}

/* Whether a policy is to be recorded. The ledger is asked for the first one only: what was logged
 * since then may still be in the spool. */
static bool is_news(struct tally_logger *logger, const char *hex)
{
    tl_mutex_lock(&logger->policy.mu);
    bool is_first = logger->policy.noted[0] == '\0';
    bool is_known = strcmp(logger->policy.noted, hex) == 0;
    memcpy(logger->policy.noted, hex, sizeof(logger->policy.noted));
    tl_mutex_unlock(&logger->policy.mu);
    return is_first ? !is_recorded(logger, hex) : !is_known;
}

void tl_logger_note_policy(struct tally_logger *logger)
{
    struct tl_buf metadata;
    struct tl_swap_use use;
    uint8_t digest[TL_SHA256_LEN];
    char hex[2 * TL_SHA256_LEN + 1];
    tl_buf_init(&metadata, 2 * TL_CONFIG_BYTES_MAX);

    const struct tl_config *config = tl_swap_enter(&logger->swap, &use);
    struct tl_str text = tl_log_policy_text(config->policy);
    tl_sha256(digest, text.text, text.len);
    tl_hex_encode(hex, digest, sizeof(digest));
    tl_buf_add_text(&metadata, "{\"policy\":");
    tl_buf_add_str(&metadata, text);
    tl_swap_leave(&logger->swap, &use);

    tl_buf_add_text(&metadata, "," POLICY_MEMBER);
    tl_buf_add_text(&metadata, hex);
    tl_buf_add_text(&metadata, "\"}");
    if (is_news(logger, hex)) {
        log_own(logger, "tally.policy.change", &metadata, TALLY_DELIVERY_DURABLE);
        if (logger->ledger->remote != NULL) {
            note(&logger->ledger->paths, hex);
        }
    }
    tl_buf_release(&metadata);
}

void tl_logger_note_unlisted(struct tally_logger *logger, struct tl_str action)
{
    struct tl_unlisted *unlisted = &logger->unlisted;
    int64_t now = tl_clock->wall_us();
    tl_counter_add(&logger->counts.unlisted, 1);
    char name[sizeof(unlisted->actions[0].action)];
    tl_str_copy(name, sizeof(name), action);
    tl_mutex_lock(&unlisted->mu);
    size_t i = 0;
    while (i < unlisted->count && strcmp(unlisted->actions[i].action, name) != 0) {
        i++;
    }
    if (i == TL_UNLISTED_MAX) {
        i = TL_UNLISTED_MAX - 1;
        memcpy(unlisted->actions[i].action, "*", sizeof("*"));
    } else if (i == unlisted->count) {
        memcpy(unlisted->actions[i].action, name, sizeof(name));
        unlisted->actions[i].count = 0;
        unlisted->count++;
    }
    unlisted->actions[i].count++;
    unlisted->since_us = unlisted->since_us == 0 ? now : unlisted->since_us;
    bool due = now - unlisted->since_us > FLUSH_EVERY_US;
    tl_mutex_unlock(&unlisted->mu);
    if (due) {
        tl_logger_flush_unlisted(logger);
    }
}

void tl_logger_flush_unlisted(struct tally_logger *logger)
{
    struct tl_unlisted *unlisted = &logger->unlisted;
    struct tl_buf metadata;
    tl_buf_init(&metadata, TL_CONFIG_BYTES_MAX);
    tl_buf_add_text(&metadata, "{\"actions\":{");
    tl_mutex_lock(&unlisted->mu);
    size_t count = unlisted->count;
    for (size_t i = 0; i < count; i++) {
        tl_json_write_string(&metadata, tl_str_of(unlisted->actions[i].action));
        tl_buf_addf(&metadata, ":%llu%s", (unsigned long long)unlisted->actions[i].count,
                    i + 1 < count ? "," : "");
    }
    unlisted->count = 0;
    unlisted->since_us = 0;
    tl_mutex_unlock(&unlisted->mu);
    tl_buf_add_text(&metadata, "}}");
    if (count > 0) {
        /* Some caller happens to do this, or closes: neither may be kept waiting. */
        log_own(logger, "tally.policy.unlisted", &metadata, TALLY_DELIVERY_BEST_EFFORT);
    }
    tl_buf_release(&metadata);
}
