/* base/limits.h - every bound that is not part of the evidence format, each with its reason. */
#ifndef TL_BASE_LIMITS_H
#define TL_BASE_LIMITS_H

/* An event, canonical, in bytes: the default, and what a configuration may raise it to. */
#define TL_EVENT_BYTES_DEFAULT ((size_t)256 << 10)
#define TL_EVENT_BYTES_MAX     ((size_t)1 << 20)

/* Events handed in (interop: depth 32, 1,024 members in an object, 4,096 elements in an array). */
#define TL_EVENT_DEPTH_MAX    32u
#define TL_EVENT_MEMBERS_MAX  1024u
#define TL_EVENT_ELEMENTS_MAX 4096u

/* One line or array element of input, before it is trimmed: bounds what a reader must hold. */
#define TL_INPUT_BYTES_MAX ((size_t)16 << 20)

/* A batch of the sequencer: bounds the memory and the time of one transaction. */
#define TL_BATCH_EVENTS_MAX 4096u

/* Results of one query. */
#define TL_PAGE_RECORDS_DEFAULT 50u
#define TL_PAGE_RECORDS_MAX     1000u
#define TL_PAGE_BYTES_MAX       ((size_t)8 << 20)
#define TL_OFFSET_MAX           100000u
#define TL_COUNT_CAP            10000u

/* One filter: values over all fields. */
#define TL_FILTER_VALUES_MAX 1000u

/* Configuration and trust files. */
#define TL_CONFIG_BYTES_MAX ((size_t)1 << 20)

#endif /* TL_BASE_LIMITS_H */
