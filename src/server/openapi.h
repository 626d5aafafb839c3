/* server/openapi.h - openapi.json, embedded when the program is built: what no route says itself. */
#ifndef TL_SERVER_OPENAPI_H
#define TL_SERVER_OPENAPI_H

#include <stddef.h>

/* {"components":…, "filters":[names], "operations":{"GET /v1/events":…}} */
extern const unsigned char tl_openapi_parts[];
extern const size_t tl_openapi_parts_len;

#endif /* TL_SERVER_OPENAPI_H */
