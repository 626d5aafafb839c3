/*
 * codec/ip.h - IPv4 and IPv6 addresses as text: whatever is one, in; RFC 5952, out.
 *
 * One address has one text, so that addresses can be compared and searched for as text. No zones,
 * prefixes or ports.
 */
#ifndef TL_CODEC_IP_H
#define TL_CODEC_IP_H

#include "base/str.h"

#define TL_IP_TEXT_SIZE 46u /* the longest text and its NUL */

/*
 * Reads an address and writes its canonical text and a NUL. IPv4 is four decimal numbers without
 * leading zeros. IPv6 is what RFC 4291 section 2.2 allows; IPv4-mapped addresses are written with
 * the dotted part (::ffff:192.0.2.1) and stay apart from plain IPv4.
 *
 * Errors: TALLY_EINVAL it is no address
 */
tally_status tl_ip_canonical(char out[TL_IP_TEXT_SIZE], size_t *len_out, struct tl_str text);

#endif /* TL_CODEC_IP_H */
