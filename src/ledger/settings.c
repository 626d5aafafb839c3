/* tally_config_list(), tally_config_adopt(), tally_reindex(). */
#include "base/io.h"
#include "ledger/act.h"
#include "ledger/ledger.h"
#include "ledger/remote.h"

/* What calls on a ledger that is not open need. Large: allocate. */
struct site {
    struct tl_paths paths;
    struct tl_config config;
};

static void site_freep(struct site **site)
{
    if (*site != NULL) {
        tl_config_release(&(*site)->config);
        tl_free(*site);
    }
    *site = NULL;
}

static tally_status site_new(struct site **site_out, const struct tally_options *options,
                             bool may_be_remote, struct tally_error *err)
{
    struct site *site = tl_alloc_array(1, sizeof(*site));
    if (site == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a configuration");
    }
    tally_status status = may_be_remote
                              ? tl_options_read_any(options, &site->paths, &site->config, err)
                              : tl_options_read(options, &site->paths, &site->config, err);
    if (status != TALLY_OK) {
        tl_free(site);
        return status;
    }
    *site_out = site;
    return TALLY_OK;
}

tally_status tl_config_reread(const struct tally_ledger *ledger,
                              const struct tally_setting *settings, size_t count,
                              struct tl_config **config_out, struct tally_error *err)
{
    size_t old = ledger->options.setting_count;
    TL_CLEANUP(tl_freep)
    struct tally_setting *all = tl_alloc_array(old + count + 1, sizeof(*all));
    if (all == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate settings");
    }
    for (size_t i = 0; i < old + count; i++) {
        all[i] = i < old ? ledger->options.settings[i] : settings[i - old];
    }
    struct tally_options options = ledger->options;
    options.settings = all;
    options.setting_count = old + count;
    TL_CLEANUP(tl_freep) struct tl_paths *paths = tl_alloc_array(1, sizeof(*paths));
    struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (paths == NULL || config == NULL) {
        tl_free(config);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate settings");
    }
    tally_status status = tl_options_read_any(&options, paths, config, err);
    if (status != TALLY_OK) {
        tl_free(config);
        return status;
    }
    *config_out = config;
    return TALLY_OK;
}

tally_status tally_config_list(const struct tally_options *options, tally_config_fn *fn, void *ctx,
                               struct tally_error *err)
{
    TL_CLEANUP(site_freep) struct site *site = NULL;
    TL_TRY(site_new(&site, options, true, err));
    TL_CLEANUP(tl_freep) struct tl_policy_in_force *policy = tl_alloc_array(1, sizeof(*policy));
    if (policy == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a policy");
    }
    TL_TRY(tl_policy_from_config(policy, &site->config, 1, err)); /* are the pointers good? */
    TL_TRY(tl_schedule_check(&site->config, err));
    tl_config_each(&site->config, fn, ctx);
    return TALLY_OK;
}

tally_status tally_config_adopt(struct tally_ledger *ledger, struct tally_error *err)
{
    TL_TRY(tl_remote_refuse(ledger, err));
    if (ledger->paths.memory) {
        return tl_fail(err, TALLY_ENOTSUP, "the policy of a ledger in memory does not change");
    }
    const struct tl_control control = { .kind = TL_LEAF_POLICY };
    uint64_t seq = TALLY_SEQ_NONE;
    return tl_act_seal(ledger, &control, TALLY_SEQ_NONE, &seq, err);
}

tally_status tally_config_variable_key(const char *variable, char *key_out, size_t size)
{
    static const struct tl_str prefix = { .text = "TALLY_", .len = 6 };
    struct tl_str name = tl_str_of(variable);
    if (!tl_str_starts(name, prefix)) {
        return TALLY_ENOTFOUND;
    }
    name.text += prefix.len;
    name.len -= prefix.len;
    return tl_config_key_of_variable(name, key_out, size);
}

static tally_status rebuild(const struct site *site, struct tally_store *store,
                            tally_progress_fn *progress, void *ctx, struct tally_error *err)
{
    struct tally_head head;
    struct tl_index *index = NULL;
    TL_TRY(tl_store_head(store, &head, err));
    TL_TRY(tl_index_open(&index, site->paths.index, TALLY_STORE_CREATE, err));
    tally_status status = tl_index_fill(index, store, head.size, &site->config, progress, ctx, err);
    tl_index_close(index);
    return status;
}

tally_status tally_reindex(const struct tally_options *options, tally_progress_fn *progress,
                           void *ctx, struct tally_error *err)
{
    TL_CLEANUP(site_freep) struct site *site = NULL;
    TL_TRY(site_new(&site, options, false, err));
    tl_assert(site != NULL);
    if (site->paths.memory) {
        return tl_fail(err, TALLY_ENOTSUP, "a memory ledger has no index");
    }
    struct tally_store *store = NULL;
    TL_TRY(tl_store_open(&store, site->paths.store, TALLY_STORE_READ, err));
    int lock = -1;
    tally_status status = tl_lock_take(site->paths.lock, &lock, err);
    if (status == TALLY_OK) {
        status = rebuild(site, store, progress, ctx, err);
    }
    tl_io_closep(&lock);
    tl_store_close(store);
    return status;
}
