/* evidence/control_fields.h - which members a control payload has; for control_*.c alone. */
#ifndef TL_EVIDENCE_CONTROL_FIELDS_H
#define TL_EVIDENCE_CONTROL_FIELDS_H

#include "evidence/control.h"

#define TL_CONTROL_INTEGER_MAX ((UINT64_C(1) << 53) - 1)

enum tl_field_type {
    TL_FIELD_TEXT,     /* tl_str, not empty; NULL if absent */
    TL_FIELD_U32,      /* uint32_t */
    TL_FIELD_U64,      /* uint64_t, up to TL_CONTROL_INTEGER_MAX */
    TL_FIELD_BOOL,     /* bool */
    TL_FIELD_TRUE,     /* bool: the member is there and true, or absent */
    TL_FIELD_ONE,      /* always 1; not kept */
    TL_FIELD_HEX,      /* 32 bytes */
    TL_FIELD_BASE64,   /* 32 bytes */
    TL_FIELD_VKEY,     /* struct tl_vkey */
    TL_FIELD_TIME,     /* int64_t, microseconds */
    TL_FIELD_ERASABLE, /* policy.erasable */
    TL_FIELD_CLASSES,  /* policy.classes */
    TL_FIELD_RANGES,   /* ranges */
    TL_FIELD_ITEMS,    /* items */
};

/* A kind has one form; PURGE has two. Bits of a mask. */
#define TL_FORM(kind)    (1u << ((unsigned)(kind)-TL_LEAF_GENESIS))
#define TL_FORM_OVERRIDE (1u << 12)
#define TL_FORM_ALL      ((1u << 13) - 1)

struct tl_field {
    const char *name;
    enum tl_field_type type;
    uint32_t required; /* forms that must have it */
    uint32_t optional; /* forms that may have it */
    size_t offset;     /* of the value in struct tl_control */
    size_t flag;       /* of the bool that says whether it is there; 0 if there is none */
};

/* In order of name, as canonical JSON has them. Of two rows of one name a form has one. */
#define TL_FIELD_COUNT 43u
extern const struct tl_field tl_control_fields[TL_FIELD_COUNT];

#endif /* TL_EVIDENCE_CONTROL_FIELDS_H */
