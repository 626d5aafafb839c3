/* tests/crash/disk_log.h - what disk_log.c writes and disk_cut.c reads, in the host's byte order. */
#ifndef TESTS_DISK_LOG_H
#define TESTS_DISK_LOG_H

#include "crash/oracle.h"

#define DISK_LOG_MAGIC UINT32_C(0x474c5754)

enum disk_log_type { DISK_LOG_WRITE = 1, DISK_LOG_FLUSH = 2 };

/* Followed by the bytes that were written. */
struct disk_log_entry {
    uint32_t magic;
    uint32_t type;
    uint64_t offset;
    uint64_t len;
    uint64_t acked[ORACLE_SLOTS]; /* the oracle, when the request arrived */
};

#endif /* TESTS_DISK_LOG_H */
