/*
 * embed_plugin LIBRARY LEDGER ORACLE - unloads the library while its threads run.
 *
 * A program with plugins may do that without knowing. The library must stay, because its threads
 * are in the middle of its code, and be there again when it is loaded again.
 */
#include <tally/tally.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "crash/oracle.h"

#define EVENTS     100u
#define TIMEOUT_MS 10000u

struct api {
    void *handle;
    tally_status (*open)(struct tally_ledger **, const struct tally_options *,
                         struct tally_error *);
    tally_status (*logger_open)(struct tally_logger **, struct tally_ledger *,
                                const struct tally_logger_options *, struct tally_error *);
    tally_status (*log_text)(struct tally_logger *, const char *, size_t,
                             const struct tally_log_options *, struct tally_receipt *,
                             struct tally_error *);
    void (*logger_close)(struct tally_logger *, uint32_t, struct tally_left *);
    void (*close)(struct tally_ledger *);
};

/* ISO C has no way from a pointer to an object to one to a function; POSIX says it is the same. */
static bool find(void *handle, const char *name, void *function_out)
{
    void *symbol = dlsym(handle, name);
    memcpy(function_out, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool load(struct api *api, const char *library)
{
    api->handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (api->handle == NULL || !find(api->handle, "tally_open", &api->open) ||
        !find(api->handle, "tally_logger_open", &api->logger_open) ||
        !find(api->handle, "tally_log_text", &api->log_text) ||
        !find(api->handle, "tally_logger_close", &api->logger_close) ||
        !find(api->handle, "tally_close", &api->close)) {
        (void)fprintf(stderr, "embed_plugin: %s\n", dlerror());
        return false;
    }
    return true;
}

static bool log_some(const struct api *api, struct tally_logger *logger, struct oracle *oracle,
                     unsigned slot)
{
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.timeout_ms = TIMEOUT_MS;
    for (uint64_t n = 1; n <= EVENTS; n++) {
        struct tally_error error = TALLY_ERROR_INIT;
        size_t len = 0;
        TL_CLEANUP(tl_freep) char *text = oracle_text(slot, n, &len);
        options.level = n == EVENTS ? TALLY_LEVEL_RECORDED : TALLY_LEVEL_NONE;
        atomic_store(&oracle->slots[slot].started, n);
        if (api->log_text(logger, text, len, &options, NULL, &error) != TALLY_OK) {
            (void)fprintf(stderr, "embed_plugin: %s\n", error.message);
            return false;
        }
        atomic_store(&oracle->slots[slot].acked, n);
    }
    return true;
}

static bool use(struct api *api, const char *uri, struct oracle *oracle, unsigned slot,
                bool ends_it)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    options.uri = uri;
    options.writable = 1;
    options.unattended = 1;
    if (api->open(&ledger, &options, &error) != TALLY_OK ||
        api->logger_open(&logger, ledger, NULL, &error) != TALLY_OK) {
        (void)fprintf(stderr, "embed_plugin: %s\n", error.message);
        return false;
    }
    bool good = log_some(api, logger, oracle, slot);
    if (ends_it) {
        api->logger_close(logger, TIMEOUT_MS, NULL);
        api->close(ledger);
    }
    return good;
}

int main(int argc, char **argv)
{
    struct api api;
    if (argc != 4) {
        return 64;
    }
    struct oracle *oracle = oracle_map(argv[3]);
    /* Twice with an orderly end, then with threads that are left running. */
    for (unsigned slot = 0; slot < 3; slot++) {
        if (!load(&api, argv[1]) || !use(&api, argv[2], oracle, slot, slot < 2) ||
            dlclose(api.handle) != 0) {
            return 1;
        }
    }
    int64_t start = oracle_now_us();
    while (oracle_now_us() - start < 300000) {
        /* its threads would fall into the hole */
    }
    return 0;
}
