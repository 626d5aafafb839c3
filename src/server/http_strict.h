/* server/http_strict.h - what libmicrohttpd 0.9.75 lets pass although it can be read in two ways. */
#ifndef TL_SERVER_HTTP_STRICT_H
#define TL_SERVER_HTTP_STRICT_H

#include <microhttpd.h>

#include "base/base.h"

/*
 * Whether the header block has every line ended by CRLF, no line folded, no NUL, no line without a
 * name, and single spaces and no control characters in its first line. The three texts are those
 * that the handler of libmicrohttpd was called with. True for other versions than 0.9.75: later ones
 * judge it themselves.
 */
bool tl_http_is_strict(struct MHD_Connection *connection, const char *method, const char *path,
                       const char *version);

#endif /* TL_SERVER_HTTP_STRICT_H */
