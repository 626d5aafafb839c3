/* The retention rules in force, and named sets of them to start from. */
#include "model/retention.h"

#include <stdio.h>

#include "ledger/ledger.h"
#include "ledger/remote.h"

static const char *const soc2[] = { "retention.default_days=400", NULL };
static const char *const pci_dss[] = { "retention.default_days=366", NULL };
static const char *const hipaa[] = { "retention.default_days=2192", NULL };
static const char *const gdpr[] = { "retention.default_days=180", "retention.by_severity.high=365",
                                    "retention.by_severity.critical=730", NULL };
static const char *const eu_ai_act[] = { "retention.default_days=184", NULL };

static const struct tally_retention_preset presets[] = {
    { "soc2",
      "Everything for 400 days: an observation period of twelve months and the audit after it. SOC "
      "2 "
      "(CC7.2) names no number of days; this one is ours. Agree on the period with your auditor.",
      soc2 },
    { "pci-dss",
      "Everything for 366 days. PCI DSS 4.0.1, 10.5.1, asks for twelve months of audit log "
      "history, "
      "the newest three months at hand: here all of it is. It does not choose which systems log.",
      pci_dss },
    { "hipaa",
      "Everything for six years (2,192 days). 45 CFR 164.316(b)(2)(i) asks this of documentation; "
      "whether audit logs are such is disputed. Ask counsel before you pay for the disk.",
      hipaa },
    { "gdpr",
      "180 days, 365 for high and 730 for critical severity. The GDPR names no period: Article "
      "5(1)(e) asks for no longer than the purpose needs. Set what you can give a reason for; "
      "erasure on request is 'tally erase'.",
      gdpr },
    { "eu-ai-act",
      "Everything for 184 days. Article 26(6) of Regulation (EU) 2024/1689 asks deployers of "
      "high-risk systems to keep their logs for at least six months, unless other law says more.",
      eu_ai_act },
};

const struct tally_retention_preset *tally_retention_presets(size_t *count_out)
{
    *count_out = TL_ARRAY_LEN(presets);
    return presets;
}

/* Looks for where a setting came from. */
struct origin_search {
    const char *key;
    const char *origin;
};

static void look(void *ctx, const struct tally_config_value *value)
{
    struct origin_search *search = ctx;
    if (strcmp(value->key, search->key) == 0) {
        search->origin = value->origin;
    }
}

static void tell(const struct tl_config *config, const char *kind, const char *name, int32_t days,
                 const struct tl_str *match, tally_retention_fn *fn, void *ctx)
{
    char key[320];
    char text[288];
    tl_str_copy(text, sizeof(text), match != NULL ? *match : TL_STR(""));
    (void)snprintf(key, sizeof(key), "retention.%s%s%s", name, match != NULL ? "." : "", text);
    struct origin_search search = { key, "default" };
    tl_config_each(config, look, &search);
    const struct tally_retention_rule rule = { kind, text, days, search.origin };
    fn(ctx, &rule);
}

tally_status tally_retention_list(struct tally_ledger *ledger, tally_retention_fn *fn, void *ctx,
                                  struct tally_error *err)
{
    TL_TRY(tl_remote_refuse(ledger, err));
    TL_CLEANUP(tl_config_freep) struct tl_config *config = NULL;
    TL_TRY(tl_config_reread(ledger, NULL, 0, &config, err));
    const struct tl_retention *rules = &config->retention;
    const struct {
        const char *kind, *name;
        const struct tl_retention_rule *rules;
        size_t count;
    } lists[] = {
        { "action", "by_action", rules->by_action, rules->by_action_count },
        { "severity", "by_severity", rules->by_severity, rules->by_severity_count },
        { "source", "by_source", rules->by_service, rules->by_service_count },
        { "tenant", "by_tenant", rules->by_tenant, rules->by_tenant_count },
        { "outcome", "by_outcome", rules->by_outcome, rules->by_outcome_count },
    };
    for (size_t l = 0; l < TL_ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l].count; i++) {
            tell(config, lists[l].kind, lists[l].name, lists[l].rules[i].days,
                 &lists[l].rules[i].match, fn, ctx);
        }
    }
    tell(config, "default", "default_days", rules->default_days, NULL, fn, ctx);
    return TALLY_OK;
}
