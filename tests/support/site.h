/*
 * tests/support/site.h - ledgers on disk and in memory, by the public interface alone.
 *
 * A site is a ledger's directory, "<dir>/ledger", with the MAC key of its first epoch beside it, so
 * that every verification checks MACs too.
 */
#ifndef TESTS_SITE_H
#define TESTS_SITE_H

#include <stdio.h>

#include <tally/tally.h>

#include "base/base.h"

#define SITE_PATH_SIZE 512u

struct site {
    char dir[SITE_PATH_SIZE];             /* of the ledger */
    char mac_key[SITE_PATH_SIZE];         /* file with the key */
    const struct tally_setting *settings; /* borrowed; for every open */
    size_t setting_count;
    int accept_clock;
};

/* Makes a ledger in `dir`/ledger. Checks that it works. */
void site_init(struct site *site, const char *dir, const struct tally_setting *settings,
               size_t setting_count);

/* The same without checks, for tests of failures. */
void site_name(struct site *site, const char *dir);
tally_status site_try_init(struct site *site, struct tally_error *err);
tally_status site_try_open(const struct site *site, int writable, struct tally_ledger **ledger_out,
                           struct tally_error *err);

struct tally_ledger *site_open(const struct site *site);      /* for writing */
struct tally_ledger *site_open_read(const struct site *site); /* for reading */
struct tally_ledger *site_memory(const char *uri);

/* Checks that the ledger is VERIFIED with nothing skipped; returns its size. */
uint64_t site_verify(const struct site *site);
uint64_t site_verify_open(struct tally_ledger *ledger, const struct site *site);

/* Appends the event {"id":<id>,"action":"test.event","metadata":{"n":<n>}}. */
struct tally_receipt site_append(struct tally_ledger *ledger, const char *id, unsigned n);

/* Adds the same to a batch. */
void site_add(struct tally_events *events, const char *id, unsigned n);

/* Adds an event given as text with ' in place of ". */
void site_add_text(struct tally_events *events, const char *quoted, uint32_t flags);

/* Turns ' into ". `size` holds the text and its NUL. */
void site_unquote(char *out, size_t size, const char *quoted);

/* How many events (not control records) there are, and whether id is among them. */
uint64_t site_count(struct tally_ledger *ledger);
bool site_has(struct tally_ledger *ledger, const char *id);

/* How many leaves of a control kind there are; `text_out` gets the payload line of the newest. */
uint64_t site_count_kind(struct tally_ledger *ledger, const char *kind, char *text_out,
                         size_t size);

/* Writes tally.yaml of the ledger. */
void site_configure(const struct site *site, const char *text);

/* Copies a directory tree of regular files. The copy must not exist. */
void site_copy(const char *from, const char *to);

#endif /* TESTS_SITE_H */
