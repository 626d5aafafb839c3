/* tally_verify(), tally_verify_at(): gather what the checker needs from files, and call it. */
#include "verify/verify.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/secret.h"
#include "bundle/bundle.h"
#include "ledger/anchor.h"
#include "ledger/ledger.h"
#include "ledger/trust.h"

/* What a verification reads before it begins. */
struct evidence {
    const struct tl_paths *paths; /* borrowed */
    struct tl_trust *trust;
    struct tl_highwater highwater;
    bool has_highwater;
    char *against;
    size_t against_len;
    uint8_t mac_key[TL_MAC_KEY_LEN];
    bool has_mac_key;
};

static void evidence_release(struct evidence *evidence)
{
    tl_free(evidence->trust);
    tl_free(evidence->against);
    explicit_bzero(evidence->mac_key, sizeof(evidence->mac_key));
}

static tally_status read_highwater(struct evidence *evidence, const struct tl_paths *paths,
                                   struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *bytes = NULL;
    size_t len = 0;
    uint32_t slot = 0;
    TL_TRY(tl_path_join(path, paths->keys, "highwater", err));
    /* An auditor's machine has none: the verdict says so. */
    if (tl_io_read_file(path, 2 * (size_t)TL_HIGHWATER_SLOT_LEN, &bytes, &len, NULL) != TALLY_OK) {
        return TALLY_OK;
    }
    evidence->has_highwater = tl_highwater_decode(&evidence->highwater, &slot,
                                                  (const uint8_t *)bytes, len, NULL) == TALLY_OK;
    return TALLY_OK;
}

static tally_status read_mac_key(struct evidence *evidence, const char *path,
                                 struct tally_error *err)
{
    uint32_t epoch = 0; /* the leaf that names the generation says it too */
    TL_CLEANUP(tl_secret_release) struct tl_secret text = { 0 };
    TL_TRY(tl_secret_read_sized(&text, path, 1, TL_MAC_TEXT_SIZE, err));
    TL_TRY(tl_mac_key_parse(evidence->mac_key, &epoch, (const char *)text.bytes, text.len, err));
    evidence->has_mac_key = true;
    return TALLY_OK;
}

/* Files that the caller named must be readable; those that merely may be there need not. */
static tally_status read_evidence(struct evidence *evidence, const struct tl_paths *paths,
                                  const struct tally_verify_options *options,
                                  struct tally_error *err)
{
    evidence->paths = paths;
    if (options->trust_path != NULL) {
        TL_TRY(tl_trust_read(&evidence->trust, options->trust_path, err));
    } else if (!paths->memory &&
               tl_trust_read(&evidence->trust, paths->trust, NULL) == TALLY_ENOMEM) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a trust file");
    }
    if (options->against_path != NULL) {
        TL_TRY(tl_io_read_file(options->against_path, TL_NOTE_LEN_MAX, &evidence->against,
                               &evidence->against_len, err));
    }
    if (options->mac_key_path != NULL) {
        TL_TRY(read_mac_key(evidence, options->mac_key_path, err));
    }
    return paths->memory ? TALLY_OK : read_highwater(evidence, paths, err);
}

/* Where tokens are. */
struct place {
    const struct tl_paths *paths;
};

static tally_status read_token(void *ctx, uint64_t seq, struct tl_buf *out, struct tally_error *err)
{
    const struct place *place = ctx;
    return tl_anchor_token(place->paths, seq, out, err);
}

static tally_status check(struct tally_store *store, struct tl_index *index,
                          const struct tl_config *config, const struct evidence *evidence,
                          const struct tally_verify_options *options,
                          struct tally_report **report_out, struct tally_error *err)
{
    struct place place = { .paths = evidence->paths };
    const struct tl_str against = { .text = evidence->against, .len = evidence->against_len };
    const struct tl_verify_input input = {
        .store = store,
        .index = index,
        .trust = evidence->trust,
        .highwater = evidence->has_highwater ? &evidence->highwater : NULL,
        .remembered = &against,
        .remembered_count = evidence->against == NULL ? 0 : 1,
        .mac_key = evidence->has_mac_key ? evidence->mac_key : NULL,
        .now_s = tl_clock->wall_us() / 1000000,
        .text_members = config->text_members,
        .text_member_count = config->text_member_count,
        .anchor_token = evidence->paths->memory ? NULL : read_token,
        .anchor_ctx = &place,
        .is_volatile = (tl_store_caps(store) & TALLY_STORE_VOLATILE) != 0,
        .options = options,
    };
    return tl_verify(&input, report_out, err);
}

static tally_status check_store_at(const struct tl_paths *paths, const struct tl_config *config,
                                   const struct evidence *evidence,
                                   const struct tally_verify_options *options,
                                   struct tally_report **report_out, struct tally_error *err)
{
    struct tally_store *store = NULL;
    struct tl_index *index = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_store_open(&store, paths->store, TALLY_STORE_READ, &why);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "cannot open the store");
    }
    if (status != TALLY_OK) {
        return tl_verify_unreadable(options, "STORE_ERROR", why.message, report_out, err);
    }
    /* A missing index is no damage: it can be made again. The report says that none was compared. */
    if (options->skip_index == 0 && options->scope == TALLY_SCOPE_ALL &&
        tl_index_open(&index, paths->index, TALLY_STORE_READ, NULL) != TALLY_OK) {
        index = NULL;
    }
    status = check(store, index, config, evidence, options, report_out, err);
    tl_index_close(index);
    tl_store_close(store);
    return status;
}

static tally_status check_size(const struct tally_verify_options *options, struct tally_error *err)
{
    return options->struct_size == sizeof(*options)
               ? TALLY_OK
               : tl_fail(err, TALLY_EINVAL, "struct tally_verify_options has an unknown size");
}

tally_status tl_verify_files(const struct tl_paths *paths, const struct tl_config *config,
                             const struct tally_verify_options *options,
                             struct tally_report **report_out, struct tally_error *err)
{
    TL_TRY(check_size(options, err));
    struct evidence evidence = { 0 };
    struct tally_verify_options limited = *options;
    if (limited.max_age_s == 0) {
        limited.max_age_s = config->max_age_s;
    }
    tally_status status = read_evidence(&evidence, paths, options, err);
    if (status == TALLY_OK) {
        status = check_store_at(paths, config, &evidence, &limited, report_out, err);
    }
    evidence_release(&evidence);
    return status;
}

/*
 * A bundle comes from those whom it is to check: no key of its own is believed, nor anything beside
 * it.
 */
static tally_status check_bundle(const char *dir, const struct tally_verify_options *options,
                                 const struct evidence *evidence, struct tally_report **report_out,
                                 struct tally_error *err)
{
    struct tally_store *store = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_bundle_open(&store, dir, &why);
    if (status == TALLY_ENOMEM || status == TALLY_EINVAL) {
        return tl_fail_with(err, status, &why);
    }
    if (status != TALLY_OK) {
        return tl_verify_unreadable(options, "STORE_ERROR", why.message, report_out, err);
    }
    const struct tl_handover handover = tl_bundle_handover(store);
    const struct tl_str against = { .text = evidence->against, .len = evidence->against_len };
    const struct tl_verify_input input = {
        .store = store,
        .trust = evidence->trust,
        .remembered = &against,
        .remembered_count = evidence->against == NULL ? 0 : 1,
        .mac_key = evidence->has_mac_key ? evidence->mac_key : NULL,
        .now_s = tl_clock->wall_us() / 1000000,
        .handover = &handover,
        .options = options,
    };
    status = tl_verify(&input, report_out, err);
    tl_store_close(store);
    return status;
}

static tally_status verify_bundle(const char *dir, const struct tally_verify_options *options,
                                  struct tally_report **report_out, struct tally_error *err)
{
    static const struct tl_paths nowhere = { .memory = true };
    struct evidence evidence = { 0 };
    tally_status status = read_evidence(&evidence, &nowhere, options, err);
    if (status == TALLY_OK) {
        status = check_bundle(dir, options, &evidence, report_out, err);
    }
    evidence_release(&evidence);
    return status;
}

tally_status tally_verify_at(const char *uri, const struct tally_verify_options *options,
                             struct tally_report **report_out, struct tally_error *err)
{
    TL_TRY(check_size(options, err));
    if (uri != NULL && options->ledger_only == 0 && tl_bundle_is(uri)) {
        return verify_bundle(uri, options, report_out, err);
    }
    TL_CLEANUP(tl_freep) struct tl_paths *paths = tl_alloc_array(1, sizeof(*paths));
    TL_CLEANUP(tl_freep) struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (paths == NULL || config == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a verification");
    }
    struct tally_options where = TALLY_OPTIONS_INIT;
    where.uri = uri;
    TL_TRY(tl_options_read(&where, paths, config, err));
    tally_status status =
        paths->memory ? tl_fail(err, TALLY_EINVAL, "a memory ledger is verified by its handle")
                      : tl_verify_files(paths, config, options, report_out, err);
    tl_config_release(config);
    return status;
}

/* The keys of a ledger in memory are known to its sequencer alone. */
static tally_status verify_memory(struct tally_ledger *ledger,
                                  const struct tally_verify_options *options,
                                  struct tally_report **report_out, struct tally_error *err)
{
    struct evidence evidence = { 0 };
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = read_evidence(&evidence, &ledger->paths, options, err);
    if (status == TALLY_OK && evidence.trust == NULL) {
        status = tl_trust_from_genesis(&evidence.trust, reader.store, err);
    }
    if (status == TALLY_OK) {
        status = check(reader.store, NULL, &ledger->config, &evidence, options, report_out, err);
    }
    tl_reader_put(ledger, &reader);
    evidence_release(&evidence);
    return status;
}

tally_status tally_verify(struct tally_ledger *ledger, const struct tally_verify_options *options,
                          struct tally_report **report_out, struct tally_error *err)
{
    return ledger->paths.memory
               ? verify_memory(ledger, options, report_out, err)
               : tl_verify_files(&ledger->paths, &ledger->config, options, report_out, err);
}
