/* Whatever tl_config_read accepts is within its bounds, and is listed in order of name. */
#include "base/limits.h"
#include "fuzz.h"
#include "model/config.h"

static void check_value(void *ctx, const struct tally_config_value *value)
{
    const char **last = ctx;
    tl_assert(*last == NULL || strcmp(*last, value->key) < 0);
    tl_assert(value->value != NULL && value->origin != NULL && value->doc != NULL);
    *last = value->key;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_config config;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_str text = { .text = len == 0 ? "" : (const char *)data, .len = len };
    if (tl_config_read(&config, "f", text, NULL, 0, &err) != TALLY_OK) {
        tl_assert(err.status == TALLY_EINVAL && err.message[0] != '\0');
        return false;
    }
    const struct tl_retention *retention = &config.retention;
    tl_assert(config.event.bytes_max >= 1024 && config.event.bytes_max <= TL_EVENT_BYTES_MAX);
    tl_assert(config.epoch_seconds >= 60 && config.epoch_seconds <= 86400);
    tl_assert(config.text_member_count <= TL_TEXT_MEMBERS_MAX && config.erasable_count <= 64);
    tl_assert(retention->by_action_count + retention->by_severity_count +
                  retention->by_service_count + retention->by_tenant_count <=
              TL_RETENTION_RULES_MAX);
    const char *last = NULL;
    tl_config_each(&config, check_value, &last);
    tl_config_release(&config);
    return true;
}
